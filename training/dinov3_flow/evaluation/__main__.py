"""Evaluate: python3 -m dinov3_flow.evaluation ../weights/dinov3-flow-small.safetensors -o evaluation

One table of all methods on all suites, in one run; with -o also the figures as JSON and pictures of the pairs on
which the last method did best and worst.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..datasets import FlowPair
from ..metrics import epe_map, length
from ..scenes.preview import flow_colours
from .ablation import without_network
from .cache import cached
from .methods import CLASSICAL, Method, model
from .package import ENTRY, Package, PackageError
from .plot import plot
from .report import REFERENCE, Row, card, table
from .suites import SEED, Suite, chosen, on_disk, photographs, rendered


def strip(pair: FlowPair, flows: dict[str, Tensor], height: int = 240) -> np.ndarray:
    """Both frames, the true flow, and for every method its flow and its error (white is 5 px or more); BGR."""
    cells = [(f.permute(1, 2, 0).numpy()[..., ::-1] * 255).astype(np.uint8) for f in (pair.frame1, pair.frame2)]
    largest = float(torch.quantile(length(pair.flow).flatten()[::16], 0.99).clamp(min=0.05))
    cells.append(_labelled(flow_colours(pair.flow.numpy(), largest), f"truth, {largest:.1f} px"))
    for name, flow in flows.items():
        error = epe_map(flow[None], pair.flow[None])[0]
        figure = float(error[pair.valid].mean())
        cells.append(_labelled(flow_colours(flow.numpy(), largest), f"{name}, EPE {figure:.2f} px"))
        grey = (255 * (error / 5).clamp(0, 1)).byte().numpy()
        cells.append(_labelled(np.repeat(grey[..., None], 3, 2), f"{name}, error"))
    width = round(height * cells[0].shape[1] / cells[0].shape[0])
    return np.concatenate([cv2.resize(c, (width, height), interpolation=cv2.INTER_AREA) for c in cells], 1)


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    picture = np.ascontiguousarray(picture)
    scale = picture.shape[0] / 480
    at = (int(10 * scale), int(34 * scale))
    for colour, thickness in ((0, 5), (255, 2)):
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (colour,) * 3, max(1, round(thickness * scale)))
    return picture


def named_options(text: str) -> tuple[str, dict]:
    """NAME=JSON, or JSON that is its own name."""
    name, equals, options = (text, "=", text) if text.startswith("{") else text.partition("=")
    try:
        value = json.loads(options) if equals else None
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{options}: {error}") from None
    if not name or not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text}: is not NAME={{...}}")
    return name, value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m dinov3_flow.evaluation",
        description="Error figures of models beside zero flow, one translation, and OpenCV's DIS, in one run.",
    )
    parser.add_argument("model", nargs="*", help="files that hold backbone and head, for PyTorch")
    parser.add_argument("--package", action="append", default=[], type=named_options, metavar="NAME=JSON",
                        help='the package for Node.js too, with these options: {"load": of FlowModel.load, "flow": of '
                        'flow, "want": ["confidence"]}')
    parser.add_argument("--ablation", action="store_true",
                        help="also the package's model without its network: refinement from nothing but the pixels")
    parser.add_argument("--entry", default=ENTRY, metavar="FILE", help="the package's module; default: %(default)s")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="write figures.json, table.md, plot.svg and pictures there")
    parser.add_argument("--card", action="store_true", help="also print one table of all suites, for a model's card")
    parser.add_argument("--pairs", type=int, default=16, help="of each suite without a data set; default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="base seed of rendered pairs; default: %(default)s")
    parser.add_argument("--only", action="append", metavar="SUITE", help="leave out the others")
    parser.add_argument("--photographs", metavar="FOLDER", help="warp these pictures too")
    parser.add_argument("--cache", metavar="FOLDER", help="keep rendered pairs there, and take those that are there")
    parser.add_argument("--sintel", metavar="FOLDER", help="MPI Sintel's folder, with training/ in it")
    parser.add_argument("--kitti", metavar="FOLDER", help="KITTI 2012's or 2015's folder, with training/ in it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu",
                        help="of PyTorch; default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count(),
                        help="of every method, unless a package's options say otherwise; default: %(default)s")
    return parser.parse_args()


def suites_of(args: argparse.Namespace) -> list[Suite]:
    suites = rendered(args.pairs, args.seed)
    if args.photographs:
        suites += photographs(args.photographs, args.pairs, args.seed)
    if args.cache:
        suites = [cached(suite, args.cache, args.seed) for suite in suites]
    return chosen(suites + on_disk(args.sintel, args.kitti), args.only)


def methods_of(args: argparse.Namespace, stack: ExitStack) -> dict[str, Method]:
    """Those without a network first; the last one is the one that pictures and the card tell most of."""
    methods = dict(CLASSICAL)
    for path in args.model:
        name = Path(path).stem
        methods[path if name in methods else name] = model(path, torch.device(args.device))
    if args.package or args.ablation:
        package = stack.enter_context(Package(args.entry))
        if args.ablation:
            file = Path(stack.enter_context(TemporaryDirectory())) / "blank.safetensors"
            without_network(file)
            load = {"threads": args.threads, "backbone": str(file), "head": str(file), "size": "half"}
            methods["without the network"] = package.method({"load": {**load, "refine": "default"}})
        for name, options in args.package:
            if name in methods:
                raise ValueError(f"--package: there are two methods {name}")
            load = {"threads": args.threads, **options.get("load", {})}
            methods[name] = package.method({**options, "load": load})
    return methods


def evaluate(suite: Suite, methods: dict[str, Method]) -> dict[str, Row]:
    rows = {name: Row() for name in methods}
    for pair in tqdm(suite.pairs(), suite.name, suite.count, leave=False):
        for name, method in methods.items():
            began = time.perf_counter()
            prediction = method(pair.frame1, pair.frame2)
            rows[name].add(prediction, pair, time.perf_counter() - began)
    return rows


def run(args: argparse.Namespace, stack: ExitStack) -> None:
    suites, methods = suites_of(args), methods_of(args, stack)
    tables, figures = [], {}
    for suite in suites:
        rows = evaluate(suite, methods)
        figures[suite.name] = {name: row.figures() for name, row in rows.items()}
        tables.append(table(suite, figures[suite.name]))
        print(tables[-1], flush=True)
        if args.output:
            save_pictures(Path(args.output), suite, methods, rows[list(methods)[-1]].errors)
    if args.card:
        tables.append(card(suites, figures))
        print(tables[-1], flush=True)
    if args.output:
        (Path(args.output) / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
        (Path(args.output) / "table.md").write_text("\n".join(tables))
        (Path(args.output) / "plot.svg").write_text(plot(figures))


def main() -> None:
    args = arguments()
    torch.set_flush_denormal(True)  # see train.py
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    with ExitStack() as stack:
        try:
            run(args, stack)
        except (OSError, ValueError, PackageError) as error:
            raise SystemExit(f"error: {error}") from None


def save_pictures(folder: Path, suite: Suite, methods: dict, errors: list[float]) -> None:
    """The two pairs with the least and the two with the greatest error of the last method."""
    folder.mkdir(parents=True, exist_ok=True)
    order = [i for i in np.argsort(errors).tolist() if not np.isnan(errors[i])]
    shown = {name: method for name, method in methods.items() if name not in CLASSICAL or name == REFERENCE}
    rows = []
    for index in dict.fromkeys(order[:2] + order[-2:]):
        pair = suite.pair(index)
        rows.append(strip(pair, {name: method(pair.frame1, pair.frame2).flow for name, method in shown.items()}))
    if rows:
        width = min(row.shape[1] for row in rows)
        rows = [cv2.resize(row, (width, round(row.shape[0] * width / row.shape[1]))) for row in rows]
        cv2.imwrite(str(folder / f"{suite.name.replace(' ', '-')}.png"), np.concatenate(rows))


if __name__ == "__main__":
    main()

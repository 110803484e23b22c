"""Evaluate: python3 -m dinov3_flow.evaluation ../weights/dinov3-flow-small.safetensors -o evaluation

One table of all methods on all suites, in one run; with -o also the figures as JSON and pictures of the pairs on
which the model did best and worst.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..datasets import FlowPair
from ..metrics import Metrics, epe_map, length
from ..scenes.preview import flow_colours
from .cache import cached
from .methods import dis, model, translation, zero
from .suites import SEED, Suite, chosen, on_disk, photographs, rendered


class Row:
    """A method's figures on a suite, and how long it took."""

    def __init__(self) -> None:
        self.metrics, self.moved, self.pixels = Metrics(), 0.0, 0
        self.seconds: list[float] = []
        self.errors: list[float] = []  # mean of each pair

    def add(self, flow: Tensor, pair: FlowPair, seconds: float) -> None:
        self.metrics.add(flow[None], pair.flow[None], pair.valid[None])
        self.moved += float(length(flow).sum())
        self.pixels += flow[0].numel()
        self.seconds.append(seconds)
        error = epe_map(flow[None], pair.flow[None])[0][pair.valid]
        self.errors.append(float(error.mean()) if error.numel() else float("nan"))

    def figures(self) -> dict[str, float]:
        """Those of `Metrics`; `flow`, the mean length of what was predicted, px; `ms`, the median time of a pair."""
        milliseconds = 1000 * float(np.median(self.seconds))
        return {**self.metrics.result(), "flow": self.moved / max(1, self.pixels), "ms": milliseconds}


def table(suite: Suite, rows: dict[str, Row]) -> str:
    """Markdown."""
    lines = [
        f"**{suite.name}**: {suite.about}; {suite.count} pairs",
        "",
        "| method | EPE, px | over 1 px, % | over 3 px, % | over 5 px, % | Fl-all, % | mean flow, px | ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        f = row.figures()
        shares = " | ".join(f"{f[key]:.1f}" for key in ("out1", "out3", "out5", "fl_all"))
        lines.append(f"| {name} | {f['epe']:.3f} | {shares} | {f['flow']:.3f} | {f['ms']:.0f} |")
    return "\n".join(lines) + "\n"


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


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m dinov3_flow.evaluation",
        description="Error figures of a model beside zero flow, one translation, and OpenCV's DIS, in one run.",
    )
    parser.add_argument("model", nargs="*", help="files that hold backbone and head")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="write figures.json, table.md and pictures there")
    parser.add_argument("--pairs", type=int, default=16, help="of each suite without a data set; default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="base seed of rendered pairs; default: %(default)s")
    parser.add_argument("--only", action="append", metavar="SUITE", help="leave out the others")
    parser.add_argument("--photographs", metavar="FOLDER", help="warp these pictures too")
    parser.add_argument("--cache", metavar="FOLDER", help="keep rendered pairs there, and take those that are there")
    parser.add_argument("--sintel", metavar="FOLDER", help="MPI Sintel's folder, with training/ in it")
    parser.add_argument("--kitti", metavar="FOLDER", help="KITTI 2012's or 2015's folder, with training/ in it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU; default: %(default)s")
    args = parser.parse_args()
    torch.set_flush_denormal(True)  # see train.py
    torch.set_num_threads(args.threads)
    try:
        suites = rendered(args.pairs, args.seed)
        if args.photographs:
            suites += photographs(args.photographs, args.pairs, args.seed)
        if args.cache:
            suites = [cached(suite, args.cache, args.seed) for suite in suites]
        suites += on_disk(args.sintel, args.kitti)
        suites = chosen(suites, args.only)
        methods = {"zero": zero, "translation": translation, "DIS": dis}
        for path in args.model:
            name = Path(path).stem
            methods[path if name in methods else name] = model(path, torch.device(args.device))
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None

    tables, figures = [], {}
    for suite in suites:
        rows = {name: Row() for name in methods}
        for pair in tqdm(suite.pairs(), suite.name, suite.count, leave=False):
            for name, method in methods.items():
                began = time.perf_counter()
                flow = method(pair.frame1, pair.frame2)
                rows[name].add(flow, pair, time.perf_counter() - began)
        figures[suite.name] = {name: row.figures() for name, row in rows.items()}
        tables.append(table(suite, rows))
        print(tables[-1], flush=True)
        if args.output:
            save_pictures(Path(args.output), suite, methods, rows[list(methods)[-1]].errors)
    if args.output:
        (Path(args.output) / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
        (Path(args.output) / "table.md").write_text("\n".join(tables))


def save_pictures(folder: Path, suite: Suite, methods: dict, errors: list[float]) -> None:
    """The two pairs with the least and the two with the greatest error of the last method."""
    folder.mkdir(parents=True, exist_ok=True)
    order = [i for i in np.argsort(errors).tolist() if not np.isnan(errors[i])]
    shown = {name: method for name, method in methods.items() if name not in ("zero", "translation")}
    rows = []
    for index in dict.fromkeys(order[:2] + order[-2:]):
        pair = suite.pair(index)
        rows.append(strip(pair, {name: method(pair.frame1, pair.frame2) for name, method in shown.items()}))
    if rows:
        width = min(row.shape[1] for row in rows)
        rows = [cv2.resize(row, (width, round(row.shape[0] * width / row.shape[1]))) for row in rows]
        cv2.imwrite(str(folder / f"{suite.name.replace(' ', '-')}.png"), np.concatenate(rows))


if __name__ == "__main__":
    main()

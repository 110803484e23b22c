"""Rendered pairs on disk, as rendering takes longer than most methods:

python3 -m dinov3_flow.evaluation.cache FOLDER --pairs 8

A pair is SUITE_INDEX.npz, spaces as underscores: the frames a and b, uint8 (H, W, 3); flow, float32 (H, W, 2); valid,
bool (H, W); and seed, the base seed. A file does not tell which renderer or photographs made it: with others, use
another folder.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..datasets import FlowPair
from .suites import SEED, Suite, chosen, photographs, rendered


def path_of(folder: str | os.PathLike, suite: str, index: int) -> Path:
    """The file of a pair."""
    return Path(folder) / f"{suite.replace(' ', '_')}_{index}.npz"


def _bytes(frame: Tensor) -> np.ndarray:
    return (frame.permute(1, 2, 0) * 255).round().byte().numpy()


def save(path: Path, pair: FlowPair, seed: int) -> None:
    """Write a pair under another name first, so that no file is ever half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    with open(partial, "wb") as file:
        np.savez(file, a=_bytes(pair.frame1), b=_bytes(pair.frame2), valid=pair.valid.numpy(), seed=seed,
                 flow=pair.flow.permute(1, 2, 0).numpy())  # fmt: skip
    os.replace(partial, path)


def load(path: Path, seed: int) -> FlowPair:
    """Read a pair of this base seed."""
    with np.load(path) as file:
        if int(file["seed"]) != seed:
            raise ValueError(f"{path}: holds a pair of base seed {file['seed']}, not {seed}; use another folder")
        a, b, flow = (torch.from_numpy(file[name]).permute(2, 0, 1).contiguous() for name in ("a", "b", "flow"))
        return FlowPair(a.float() / 255, b.float() / 255, flow, torch.from_numpy(file["valid"]))


def cached(suite: Suite, folder: str | os.PathLike, seed: int) -> Suite:
    """The suite of frames in 8 bits, with pairs from the folder, and rendered into it where it lacks them."""

    def pair(index: int) -> FlowPair:
        path = path_of(folder, suite.name, index)
        if not path.is_file():
            save(path, suite.pair(index), seed)
        return load(path, seed)

    return suite._replace(pair=pair)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m dinov3_flow.evaluation.cache", description="Render pairs into the folder of --cache."
    )
    parser.add_argument("folder")
    parser.add_argument("--pairs", type=int, default=16, help="of each suite; default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="base seed; default: %(default)s")
    parser.add_argument("--photographs", metavar="FOLDER", help="render suites of these pictures too")
    parser.add_argument("--only", action="append", metavar="SUITE", help="leave out the others")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    try:
        suites = rendered(args.pairs, args.seed)
        if args.photographs:
            suites += photographs(args.photographs, args.pairs, args.seed)
        for suite in chosen(suites, args.only):
            for _ in tqdm(cached(suite, args.folder, args.seed).pairs(), suite.name, suite.count):
                pass
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()

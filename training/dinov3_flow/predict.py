"""Compute one flow: python3 -m dinov3_flow.predict ../weights/dinov3-flow-small.safetensors 1.png 2.png -o flow.flo"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch

from .datasets import read_frame
from .evaluation.methods import model
from .formats import write_flo
from .scenes.preview import flow_colours


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m dinov3_flow.predict",
        description="Computes the flow between two pictures of one size, in PyTorch, to hold other engines against.",
    )
    parser.add_argument("model", help="a file that holds backbone and head")
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .flo to write")
    parser.add_argument("--viz", metavar="FILE", help="draw it, too")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    args = parser.parse_args()
    torch.set_flush_denormal(True)  # see train.py
    try:
        frames = [read_frame(path) for path in (args.first, args.second)]
        if frames[0].shape != frames[1].shape:
            raise ValueError(f"{args.second}: differs in size from {args.first}")
        flow = model(args.model, torch.device(args.device))(*frames).flow.numpy()
        write_flo(args.output, flow)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    if args.viz and not cv2.imwrite(args.viz, flow_colours(flow)):
        raise SystemExit(f"error: {args.viz}: cannot be written")


if __name__ == "__main__":
    main()

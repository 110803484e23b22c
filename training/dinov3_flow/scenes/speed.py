"""Measure how fast scenes are rendered: python3 -m dinov3_flow.scenes.speed --device cuda"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch

from .render import render


def pairs_per_second(batch: int, size: tuple[int, int], batches: int, device: torch.device) -> list[float]:
    """Of each of `batches`, after one that does not count."""
    rates = []
    for index in range(batches + 1):
        began = time.perf_counter()
        render(0, index, batch, *size, device=device)
        if device.type == "cuda":
            torch.cuda.synchronize()
        rates.append(batch / (time.perf_counter() - began))
    return rates[1:]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m dinov3_flow.scenes.speed", description="Pairs of frames with flow that are rendered a second."
    )
    parser.add_argument("--batch", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--batches", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU; default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rates = pairs_per_second(args.batch, tuple(args.size), args.batches, torch.device(args.device))
    print(f"{args.device}, {args.size[0]} x {args.size[1]}, batches of {args.batch}: "
          f"{statistics.median(rates):.1f} pairs/s (median of {len(rates)}, {min(rates):.1f} to {max(rates):.1f})")


if __name__ == "__main__":
    main()

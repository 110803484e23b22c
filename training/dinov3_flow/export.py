"""Write the file that is shipped: python3 -m dinov3_flow.export runs/small/model.safetensors model.safetensors

Backbone and head in float16, with what they are and how they came about as metadata.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Mapping

from torch import Tensor

from .checkpoint import load_network, load_safetensors, save_safetensors

# Counters of training, and what follows from the configuration.
_LEFT_OUT = ("num_batches_tracked",)


def export(source: str, target: str, metadata: Mapping[str, str]) -> int:
    """Returns the number of values. Raises ValueError where one is too large for float16.

    What the source says of itself, how it was trained, stays with it.
    """
    network = load_network(source)
    said = load_safetensors(source)[1] if str(source).endswith(".safetensors") else {}
    tensors: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if name.endswith(_LEFT_OUT):
            continue
        half = value.half()
        if not bool(half.isfinite().all()):
            raise ValueError(f"{name}: has a value of {float(value.abs().max()):g}, which float16 does not hold")
        tensors[name] = half
    config = {"backbone": asdict(network.backbone.config), "head": asdict(network.head.config)}
    save_safetensors(target, tensors, {**said, "config": json.dumps(config), **metadata})
    return sum(value.numel() for value in tensors.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m dinov3_flow.export", description="Writes backbone and head in float16, with metadata."
    )
    parser.add_argument("source", help="model.safetensors of a run")
    parser.add_argument("target", help="the .safetensors to write")
    parser.add_argument("--metadata", action="append", default=[], metavar="KEY=TEXT", help="to be written into it")
    parser.add_argument("--figures", metavar="FILE", help="figures.json of an evaluation, to be written into it")
    args = parser.parse_args()
    metadata = dict(entry.partition("=")[::2] for entry in args.metadata)
    try:
        if args.figures:
            with open(args.figures) as file:
                metadata["figures"] = json.dumps(json.load(file))
        count = export(args.source, args.target, metadata)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{args.target}: {count} values")


if __name__ == "__main__":
    main()

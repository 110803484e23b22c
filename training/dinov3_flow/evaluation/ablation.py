"""The package's model without what it has learnt: what refinement does alone."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from ..checkpoint import load_safetensors, save_safetensors

MODEL = Path(__file__).parents[3] / "weights" / "dinov3-flow-small.safetensors"


def without_network(path: str | os.PathLike, model: str | os.PathLike = MODEL) -> None:
    """Write `model` to `path` with a head of zeros. It sees no motion and matches nothing, so that its refinement
    starts from nothing but the pixels."""
    tensors, _ = load_safetensors(model)
    for name, tensor in tensors.items():
        if name.startswith("head.") and not name.endswith("running_var"):
            tensors[name] = torch.zeros_like(tensor)
    save_safetensors(path, tensors)

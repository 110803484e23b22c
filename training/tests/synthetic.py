"""Synthetic weights, whose every value follows from its tensor's name and index: those of the golden data, at any size.

    value(name, i) = centre + spread * u,   u = (splitmix64(fnv1a64(name) + i) >> 40) / 2^23 - 1,   as float32
"""

import re

import numpy as np
import torch
from torch import nn

_WORD = 2**64
# Not trained: they are what the network was made with.
_CONSTANT = ("bias_mask", "periods", "num_batches_tracked")


def _fnv1a64(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % _WORD
    return value


def _splitmix64(x: np.ndarray) -> np.ndarray:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _distribution(name: str, shape: torch.Size) -> "tuple[float, float]":
    """Centre and spread."""
    leaf = name.rpartition(".")[2]
    if leaf.endswith(("_token", "_tokens")):
        return 0, 0.5
    if leaf == "gamma":
        return 0.3, 0.2
    if leaf == "running_var":
        return 1, 0.5
    if re.search(r"(^|\.)(norm|norm1|norm2|bn|bn1|bn2)\.weight$", name):
        return 1, 0.3
    if leaf in ("bias", "running_mean"):
        return 0, 0.2
    gain = 1.5 if re.search(r"\.[dp]w\.weight$", name) else 2 if "mask_head." in name else 1
    return 0, gain * (3 / int(np.prod(shape[1:]))) ** 0.5


@torch.no_grad()
def synthesise(module: nn.Module) -> nn.Module:
    """Gives a module its synthetic weights."""
    for name, tensor in module.state_dict().items():
        if name.endswith(_CONSTANT):
            continue
        with np.errstate(over="ignore"):
            bits = _splitmix64(np.uint64(_fnv1a64(name)) + np.arange(tensor.numel(), dtype=np.uint64))
        u = (bits >> np.uint64(40)).astype(np.float64) / 2**23 - 1
        centre, spread = _distribution(name, tensor.shape)
        tensor.copy_(torch.from_numpy((centre + spread * u).astype(np.float32)).view(tensor.shape))
    return module

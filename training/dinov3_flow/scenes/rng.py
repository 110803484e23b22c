"""Random draws of one scene batch, a function of (seed, index) alone."""

from __future__ import annotations

import math
from typing import Sequence

import torch
from torch import Tensor


class Rng:
    """Small parameters are drawn on the CPU (no device synchronisation to branch on them), large fields on `device`.

    On the CPU both use one generator; elsewhere the field generator is seeded from the same pair.
    """

    def __init__(self, seed: int, index: int, device: torch.device | str) -> None:
        self.device = torch.device(device)
        # Odd multipliers mix the pair, so that (1, 2) and (2, 1) or neighbouring indices share no stream.
        key = (seed * 0x9E3779B97F4A7C15 + (index + 1) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        key = ((key ^ (key >> 31)) * 0x94D049BB133111EB) & (2**63 - 1)
        self.params = torch.Generator().manual_seed(key)
        self.fields = self.params
        if self.device.type != "cpu":
            self.fields = torch.Generator(device=self.device).manual_seed(key ^ 0x5DEECE66D)

    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers on the CPU."""
        return torch.rand(tuple(shape), generator=self.params) * (high - low) + low

    def log_uniform(self, shape: Sequence[int], low: float, high: float) -> Tensor:
        """Numbers uniform in the logarithm, on the CPU."""
        return torch.exp(self.uniform(shape, math.log(low), math.log(high)))

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers on the CPU."""
        return torch.randn(tuple(shape), generator=self.params)

    def integers(self, shape: Sequence[int], low: int, high: int) -> Tensor:
        """Integers low <= n < high on the CPU."""
        return torch.randint(low, high, tuple(shape), generator=self.params)

    def chance(self, shape: Sequence[int], probability: float) -> Tensor:
        """True with `probability`, on the CPU."""
        return torch.rand(tuple(shape), generator=self.params) < probability

    def field(self, shape: Sequence[int]) -> Tensor:
        """Uniform [0, 1) numbers on the device."""
        return torch.rand(tuple(shape), generator=self.fields, device=self.device)

    def noise(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers on the device."""
        return torch.randn(tuple(shape), generator=self.fields, device=self.device)

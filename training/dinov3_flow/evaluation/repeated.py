"""Repeated patterns: windows, bricks, pickets and tiles, which look alike one period on."""

from __future__ import annotations

import numpy as np

from ..datasets import FlowPair
from .layers import Layer, Look, affine, compose, cut, heading, turned
from .pictures import as_pair, fractal
from .sampling import sample

Array = np.ndarray

LARGEST = 48.0
"""Motions reach about this far, px: up to three periods."""


class Pattern:
    """A pattern's look: a function of places, so that both frames are equally sharp.

    Cells differ a little, and so does the light over them: the motion can be told, though not from one cell alone.
    """

    def __init__(self, rng: np.random.Generator, kind: str, period: float, height: int, width: int) -> None:
        self.kind, self.period = kind, period
        self.aspect = {"windows": rng.uniform(0.8, 1.5), "bricks": rng.uniform(0.35, 0.5)}.get(kind, 1.0)
        self.joint = max(1.5, rng.uniform(0.06, 0.16) * period)
        self.back = np.clip(rng.uniform(0.35, 0.85) + 0.08 * rng.standard_normal(3), 0.1, 0.9)
        # Either clearly brighter than what is behind it, or clearly darker.
        self.front = np.clip(self.back + (0.3 if self.back.mean() < 0.55 else -0.3) * rng.uniform(0.7, 1.2, 3), 0.05, 1)
        self.cells = rng.normal(0, rng.uniform(0.03, 0.07), (64, 64))
        self.turn, self.origin = turned(rng.uniform(-0.3, 0.3)), rng.uniform(0, period, 2)
        margin = 96
        self.light = 0.05 * fractal(rng, height + 2 * margin, width + 2 * margin, 128, 6)[..., None]
        self.margin = margin

    def __call__(self, places: Array) -> Array:
        """Colour and coverage (..., 4)."""
        x, y = np.moveaxis((places - self.origin) @ self.turn, -1, 0) / self.period
        y = y / self.aspect
        row = np.floor(y)
        if self.kind == "bricks":
            x = x + 0.5 * (row % 2)
        column = np.floor(x)
        # px from the cell's middle, and what remains to its edge.
        u, v = (x - column - 0.5) * self.period, (y - row - 0.5) * self.period * self.aspect
        half = np.array([self.period / 2, self.period * self.aspect / 2])
        share = self._share(u, v, half)
        number = (row.astype(np.int64) % 64, column.astype(np.int64) % 64)
        colour = self.back + share[..., None] * (self.front + self.cells[number][..., None] - self.back)
        colour = colour + sample(self.light, places + self.margin)
        return np.concatenate([np.clip(colour, 0, 1), np.ones((*colour.shape[:-1], 1))], -1).astype(np.float32)

    def _share(self, u: Array, v: Array, half: Array) -> Array:
        """How much of a pixel shows the front colour, 0..1, at px from a cell's middle."""

        def box(a: float, b: float) -> Array:
            return np.clip(0.5 - np.maximum(np.abs(u) - a, np.abs(v) - b), 0, 1)

        if self.kind == "windows":
            bars = np.clip(0.5 + self.joint / 4 - np.minimum(np.abs(u), np.abs(v)), 0, 1)
            return box(0.62 * half[0], 0.66 * half[1]) * (1 - bars)
        if self.kind == "bricks":
            return box(half[0] - self.joint / 2, half[1] - self.joint / 2)
        if self.kind == "pickets":
            return box(0.6 * half[0], np.inf)
        return np.clip(0.5 + 0.7 * half[0] - np.hypot(u, v), 0, 1)


KINDS = ("windows", "bricks", "pickets", "tiles")


def _inside(rng: np.random.Generator, look: Look, centre: Array, size: Array) -> tuple[Look, tuple]:
    """A look cut to a turned rectangle or an ellipse, and its box."""
    turn, round_ = turned(rng.uniform(-0.6, 0.6)), rng.random() < 0.4

    def distance(places: Array) -> Array:
        local = np.abs((places - centre) @ turn)
        if round_:
            return (np.linalg.norm(local / size, axis=-1) - 1) * size.min()
        return (local - size).max(-1)

    reach = np.linalg.norm(size) + 1
    return cut(look, distance), (*(centre - reach), *(centre + reach))


def repeated(seed: int, height: int = 480, width: int = 640) -> FlowPair:
    """A pair of patterned objects over a patterned background."""
    rng = np.random.default_rng(seed)
    layers = []
    for number in range(int(rng.integers(3, 6))):
        kind = KINDS[(seed + number) % len(KINDS)]
        smallest = 20 if kind == "windows" else 12
        period = float(np.exp(rng.uniform(np.log(smallest), np.log(36))))
        look = Pattern(rng, kind, period, height, width)
        centre = np.array([width, height]) * (rng.uniform(0.15, 0.85, 2) if number else 0.5)
        # From a third of a period, where the nearest copy is the right one, to beyond it.
        shift = heading(rng, min(LARGEST, period * rng.uniform(0.3, 2.2)))
        motion = affine(np.eye(2) + rng.normal(0, 0.01, (2, 2)), centre, shift)
        if number:
            size = rng.uniform(0.16, 0.34, 2) * height
            look, box = _inside(rng, look, centre, size)
            layers.append(Layer(look, motion, box))
        else:
            layers.append(Layer(look, motion))
    made = compose(layers, height, width)
    return as_pair(made.frame1, made.frame2, made.flow, np.ones((height, width), bool))

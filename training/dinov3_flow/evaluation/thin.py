"""Thin structures: strokes of 1.5 to 6 px, several px apart, over a background that moves differently."""

from __future__ import annotations

import numpy as np

from ..datasets import FlowPair
from .layers import Layer, affine, compose, cut, heading, sheet, turned
from .pictures import as_pair, clouded, leaves, random_homography

Array = np.ndarray

LARGEST = 25.0
"""Motions reach about this far, px."""
NEAREST = 5.0
"""A structure moves by at least this much in relation to the background, px."""


def strokes_distance(ends: Array, widths: Array, places: Array) -> Array:
    """From places (..., 2) to the edge of the nearest stroke, px, negative inside.

    ends (n, 2, 2) are each stroke's two points; widths (n, 2) px its widths there, which taper in between.
    """
    nearest = np.full(places.shape[:-1], np.inf)
    for (start, end), (first, last) in zip(ends, widths):
        along = end - start
        part = np.clip((places - start) @ along / max(1e-6, along @ along), 0, 1)
        rest = places - start - part[..., None] * along
        nearest = np.minimum(nearest, np.hypot(rest[..., 0], rest[..., 1]) - (first + (last - first) * part) / 2)
    return nearest


def _bars(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """A railing: parallel bars between two rails."""
    width, gap = rng.uniform(1.5, 5), rng.uniform(5, 16)
    x = np.arange(-size, size, width + gap)
    height = size * rng.uniform(0.5, 1)
    bars = [((a, -height), (a, height)) for a in x]
    rails = [((x[0], a), (x[-1], a)) for a in (-height, height)]
    return np.array(bars + rails), np.full((len(bars) + 2, 2), width)


def _mesh(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """Crossed bars."""
    width, gap = rng.uniform(1.5, 4), rng.uniform(8, 24)
    at = np.arange(-size, size + 1, width + gap)
    lines = [((a, at[0]), (a, at[-1])) for a in at] + [((at[0], a), (at[-1], a)) for a in at]
    return np.array(lines), np.full((len(lines), 2), width)


def _wires(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """Long wires that hang through, side by side."""
    sag, gap, width = rng.uniform(0, 0.8) * size, rng.uniform(8, 30), rng.uniform(1.5, 3)
    reach = 6 * size
    x = np.linspace(-reach, reach, 13)
    ends = []
    for row in range(int(rng.integers(2, 6))):
        y = row * gap + rng.uniform(-3, 3) - sag * (1 - (x / reach) ** 2)
        points = np.stack([x, y], -1)
        ends += list(np.stack([points[:-1], points[1:]], 1))
    return np.array(ends), np.full((len(ends), 2), width)


def _legs(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """A stool: tapered legs that spread from a seat, and rungs between them."""
    top, bottom = rng.uniform(0.25, 0.5) * size, rng.uniform(0.5, 0.9) * size
    wide, narrow = rng.uniform(4, 6), rng.uniform(1.5, 3)
    places = np.sort(rng.uniform(-1, 1, int(rng.integers(3, 6))))
    ends = [((a * top, -size), (a * bottom, size)) for a in places]
    widths = [(wide, narrow)] * len(ends)
    for share in rng.uniform(0.2, 0.8, 2):
        across = [a * (top + share * (bottom - top)) for a in (places[0], places[-1])]
        ends.append(tuple((a, (2 * share - 1) * size) for a in across))
        widths.append((narrow, narrow))
    return np.array([*ends, ((-top, -size), (top, -size))]), np.array([*widths, (6, 6)])


KINDS = (_bars, _mesh, _wires, _legs)


def thin(seed: int, height: int = 480, width: int = 640) -> FlowPair:
    """A pair of railings, meshes, wires and stools over a clouded or a leafy background."""
    rng = np.random.default_rng(seed)
    margin = 64
    shape = (height + 2 * margin, width + 2 * margin)
    behind = clouded(rng, *shape) if rng.random() < 0.4 else leaves(seed, *shape)
    camera = random_homography(rng, height, width, rng.uniform(1, 14))
    layers = [Layer(sheet(behind, margin), camera)]
    cells = rng.permutation([(x, y) for x in range(3) for y in range(2)])
    for number, cell in enumerate(cells[: rng.integers(5, 7)]):
        size = rng.uniform(0.15, 0.35) * height
        ends, widths = KINDS[(seed + number) % len(KINDS)](rng, size)
        centre = np.array([width, height]) * (cell + rng.uniform(0.2, 0.8, 2)) / (3, 2)
        ends = ends @ turned(rng.uniform(-0.5, 0.5)).T + centre
        there = (camera @ [*centre, 1])[:2] / (camera @ [*centre, 1])[2] - centre
        while True:
            shift = heading(rng, rng.uniform(3, 0.9 * LARGEST))
            if np.linalg.norm(shift - there) >= NEAREST:
                break
        motion = affine(np.eye(2) + rng.normal(0, 0.015, (2, 2)), centre, shift)
        # Paint, dark or bright, that is uneven along a stroke: else nothing tells how far a stroke moved along itself.
        paint = clouded(rng, *shape) - 0.5
        paint = np.clip(rng.choice([0.15, 0.8]) + 0.1 * rng.standard_normal(3) + 0.6 * paint, 0, 1)

        def distance(places: Array, ends: Array = ends, widths: Array = widths) -> Array:
            return strokes_distance(ends, widths, places)

        reach = widths.max() + 1
        box = (*(ends.min((0, 1)) - reach), *(ends.max((0, 1)) + reach))
        layers.append(Layer(cut(sheet(paint, margin), distance), motion, box))
    made = compose(layers, height, width)
    return as_pair(made.frame1, made.frame2, made.flow, np.ones((height, width), bool))

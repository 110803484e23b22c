"""Motions of 140 to 300 px of objects large enough for much of them to be in both frames."""

from __future__ import annotations

import itertools
from typing import Callable

import numpy as np

from ..datasets import FlowPair
from .layers import Layer, Look, affine, compose, cut, heading, sheet, turned
from .pictures import as_pair, leaves

Array = np.ndarray

NEAREST, FARTHEST = 140.0, 300.0
SHARE = 0.05
"""At least so much of a frame counts."""


def _shape(rng: np.random.Generator, centre: Array, size: Array) -> Callable[[Array], Array]:
    """The distance to the edge of a turned superellipse, between an ellipse and a rectangle; negative inside."""
    turn, power = turned(rng.uniform(0, np.pi)), rng.uniform(2, 6)

    def distance(places: Array) -> Array:
        local = np.abs((places - centre) @ turn) / size
        return ((local**power).sum(-1) ** (1 / power) - 1) * size.min()

    return distance


def _shift(rng: np.random.Generator, centre: Array, frame: Array) -> Array:
    """Far, and to a place within the frame."""
    while True:
        shift = heading(rng, rng.uniform(NEAREST + 10, FARTHEST - 20))
        if ((centre + shift > 0.1 * frame) & (centre + shift < 0.9 * frame)).all():
            return shift


def _placed(picture: Array, corner: Array) -> Look:
    """An opaque picture whose first pixel lies near `corner`."""
    look = sheet(picture, 0)
    return lambda places: look(places - np.floor(corner))


def _scene(seed: int, attempt: int, height: int, width: int) -> FlowPair:
    """Leafy objects over a leafy background, which pans in every second pair; what is far and in both frames counts."""
    rng = np.random.default_rng((seed, attempt))
    frame, margin = np.array([width, height]), int(FARTHEST) + 20
    behind = leaves(int(rng.integers(2**40)), height + 2 * margin, width + 2 * margin, 20_000)
    slow = rng.uniform(0, 60) if seed % 2 else rng.uniform(NEAREST, 240)
    spread = 0.02
    motion = affine(np.eye(2) + rng.normal(0, spread, (2, 2)), frame / 2, heading(rng, slow))
    layers = [Layer(sheet(behind, margin), motion)]
    for _ in range(int(rng.integers(2, 5))):
        centre, size = frame * rng.uniform(0.1, 0.9, 2), rng.uniform(80, 200, 2)
        linear = (np.eye(2) + rng.normal(0, 2 * spread, (2, 2))) @ turned(rng.normal(0, 0.08))
        motion = affine(linear, centre, _shift(rng, centre, frame))
        reach = np.linalg.norm(size) + 1
        side = 2 * int(reach) + 8
        picture = leaves(int(rng.integers(2**40)), side, side, 3000)
        look = _placed(picture, centre - reach)
        layers.append(Layer(cut(look, _shape(rng, centre, size)), motion, (*(centre - reach), *(centre + reach))))
    made = compose(layers, height, width)
    length = np.linalg.norm(made.flow, axis=-1)
    counts = made.visible & (length >= NEAREST) & (length <= FARTHEST)
    return as_pair(made.frame1, made.frame2, made.flow, counts)


def far(seed: int, height: int = 512, width: int = 1240) -> FlowPair:
    """The first pair of the seed's own in which a share of `SHARE` moves far."""
    for attempt in itertools.count():
        pair = _scene(seed, attempt, height, width)
        if pair.valid.float().mean() >= SHARE:
            return pair

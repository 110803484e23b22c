"""Furniture that flies over a picture, after FlyingChairs (Dosovitskiy et al., 2015)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..datasets import FlowPair
from .furniture import picture
from .layers import Layer, Look, affine, compose, sheet, turned
from .pictures import as_pair, leaves
from .sampling import sample

Array = np.ndarray

HEIGHT, WIDTH = 384, 512


def _scattered(rng: np.random.Generator, scale: float, largest: float) -> Array:
    """Two numbers that are mostly small and rarely large: a power of normal ones, which is FlyingChairs' way."""
    normal = rng.standard_normal(2)
    return np.clip(scale * np.sign(normal) * np.abs(normal) ** 2, -largest, largest)


def _motion(rng: np.random.Generator, centre: Array, scale: float, largest: float, spread: float) -> Array:
    """Shift, rotation and scale (3, 3) about a centre; `spread` is the deviation of the latter two."""
    linear = math.exp(rng.normal(0, spread)) * turned(rng.normal(0, spread))
    return affine(linear, centre, _scattered(rng, scale, largest))


def _cutout(rgba: Array, corner: Array) -> Look:
    """A picture (H, W, 4), transparent at its border, whose first pixel lies at `corner`."""
    height, width = rgba.shape[:2]

    def look(places: Array) -> Array:
        local = places - corner
        out = np.zeros((*places.shape[:-1], 4), np.float32)
        seen = ((local >= 0) & (local <= (width - 1, height - 1))).all(-1)
        out[seen] = sample(rgba, local[seen])
        return np.clip(out, 0, 1)

    return look


def chairs(seed: int, photograph: Array | None = None) -> FlowPair:
    """A pair of 384 x 512 over a photograph (H, W, 3) in 0..1, or else over a leafy picture."""
    rng = np.random.default_rng(seed)
    # Photographs are small, and enlarging them would blur them.
    margin = 112 if photograph is None else 48
    shape = (HEIGHT + 2 * margin, WIDTH + 2 * margin)
    behind = leaves(seed, *shape) if photograph is None else _covering(rng, photograph, *shape)
    frame = np.array([WIDTH, HEIGHT])
    camera = _motion(rng, frame / 2, 3.5, 60, 0.012)
    layers = [Layer(sheet(behind, margin), camera)]
    for _ in range(int(rng.integers(8, 17))):
        rgba = picture(rng, float(np.clip(rng.normal(150, 70), 45, 320)))
        size = np.array(rgba.shape[1::-1])
        corner = np.floor(rng.uniform(0, 1, 2) * frame - size / 2)
        # A chair moves in relation to the background.
        own = _motion(rng, corner + size / 2, 6.0, 80, 0.05)
        box = (*corner, *(corner + size))
        layers.append(Layer(_cutout(rgba, corner), camera @ own, box))
    made = compose(layers, HEIGHT, WIDTH)
    return as_pair(made.frame1, made.frame2, made.flow, np.ones((HEIGHT, WIDTH), bool))


def _covering(rng: np.random.Generator, photograph: Array, height: int, width: int) -> Array:
    """A part (height, width, 3) of a photograph at a random size, enlarged only as far as it has to be."""
    least = max(height / photograph.shape[0], width / photograph.shape[1])
    zoom = least * rng.uniform(1, 1.3)
    rows, columns = (math.ceil(n * zoom) for n in photograph.shape[:2])
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    large = np.clip(cv2.resize(photograph, (columns, rows), interpolation=method), 0, 1)
    y, x = rng.integers(0, rows - height + 1), rng.integers(0, columns - width + 1)
    return large[y : y + height, x : x + width]

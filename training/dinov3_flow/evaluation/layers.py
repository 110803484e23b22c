"""Pairs of frames out of layers that move, each by a homography, with exact flow."""

from __future__ import annotations

import math
from typing import Callable, NamedTuple, Sequence

import numpy as np

from .sampling import sample

Array = np.ndarray
Look = Callable[[Array], Array]
"""Places (..., 2) of x and y in frame 1, px, to colour times coverage and coverage (..., 4), 0..1."""


class Layer(NamedTuple):
    """What a layer shows, and how it moves."""

    look: Look
    matrix: Array  # (3, 3), from frame 1 to frame 2
    box: tuple[float, float, float, float] | None = None  # left, top, right, bottom in frame 1; None is everywhere


class Composed(NamedTuple):
    """Frames (H, W, 3) in 0..1, flow (H, W, 2) px; visible (H, W): what frame 2 shows too; top (H, W): whose it is."""

    frame1: Array
    frame2: Array
    flow: Array
    visible: Array
    top: Array


def grid(height: int, width: int) -> Array:
    """(H, W, 2) of x and y, px."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)


def project(matrix: Array, points: Array) -> Array:
    """A homography (3, 3) of points (..., 2)."""
    image = points @ matrix[:, :2].T + matrix[:, 2]
    return image[..., :2] / image[..., 2:]


def affine(linear: Array, centre: Array, shift: Array) -> Array:
    """(3, 3) of a linear motion (2, 2) about a centre and a shift (2,)."""
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ centre + shift
    return matrix


def turned(angle: float) -> Array:
    """A rotation (2, 2)."""
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def heading(rng: np.random.Generator, length: float) -> Array:
    """A vector (2,) of a length in a random direction."""
    angle = rng.uniform(0, 2 * math.pi)
    return length * np.array([math.cos(angle), math.sin(angle)])


def sheet(picture: Array, margin: int) -> Look:
    """An opaque picture (H, W, 3) whose pixel (margin, margin) lies at the frame's first."""

    def look(places: Array) -> Array:
        return np.concatenate([sample(picture, places + margin), np.ones((*places.shape[:-1], 1), np.float32)], -1)

    return look


def cut(look: Look, distance: Callable[[Array], Array]) -> Look:
    """What lies within a shape: `distance` of places to its edge, px, is negative inside. Edges are one px soft."""

    def cut_look(places: Array) -> Array:
        cover = np.clip(0.5 - distance(places), 0, 1).astype(np.float32)
        out = np.zeros((*places.shape[:-1], 4), np.float32)
        seen = cover > 0
        out[seen] = look(places[seen]) * cover[seen][:, None]
        return out

    return cut_look


def _window(layer: Layer, matrix: Array, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a frame in which a layer can be seen."""
    if layer.box is None:
        return slice(0, height), slice(0, width)
    left, top, right, bottom = layer.box
    x, y = project(matrix, np.array([(left, top), (right, top), (right, bottom), (left, bottom)])).T
    rows = slice(max(0, math.floor(y.min())), max(0, math.ceil(y.max()) + 1))
    return rows, slice(max(0, math.floor(x.min())), max(0, math.ceil(x.max()) + 1))


def _draw(layers: Sequence[Layer], places: Array, moved: bool) -> tuple[Array, Array]:
    """A frame (H, W, 3), and the foremost layer (H, W) of each pixel: the last that covers more than half of it."""
    height, width = places.shape[:2]
    frame, top = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.int64)
    for number, layer in enumerate(layers):
        window = _window(layer, layer.matrix if moved else np.eye(3), height, width)
        here = places[window]
        seen = layer.look(project(np.linalg.inv(layer.matrix), here) if moved else here)
        cover = np.clip(seen[..., 3:], 0, 1)
        frame[window] = seen[..., :3] + (1 - cover) * frame[window]
        top[window][cover[..., 0] > 0.5] = number
    return np.clip(frame, 0, 1), top


def compose(layers: Sequence[Layer], height: int, width: int) -> Composed:
    """Draw layers from back to front; the first is the background."""
    places = grid(height, width)
    (frame1, top), (frame2, top2) = (_draw(layers, places, moved) for moved in (False, True))
    target = np.empty_like(places)
    for number, layer in enumerate(layers):
        mask = top == number
        target[mask] = project(layer.matrix, places[mask])
    visible = ((target >= 0) & (target <= (width - 1, height - 1))).all(-1)
    # A point between pixels is seen if the layer is foremost at one of the four around it.
    corner = np.floor(np.where(visible[..., None], target, 0)).astype(np.int64)
    found = np.zeros_like(visible)
    for step in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = np.minimum(corner + step, (width - 1, height - 1)).transpose(2, 0, 1)
        found |= top2[y, x] == top
    return Composed(frame1, frame2, target - places, visible & found, top)

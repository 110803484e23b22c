"""Pictures of furniture with holes and thin parts, as in FlyingChairs: boxes in space, shaded and painted."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .pictures import clouded

Array = np.ndarray
Beam = tuple[Array, Array, float, float]
"""A box from one point to another (3,), and its thickness across: sideways and upwards."""

# y is up; a seat is about 1 wide and lies at the height 0.
_LIGHT = np.array([0.4, 0.8, 0.45]) / np.linalg.norm([0.4, 0.8, 0.45])
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
_FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
_SCALE = 4  # drawn at four times the size, so that edges come out smooth


def _beam(start: tuple, end: tuple, across: float, up: float | None = None) -> Beam:
    return np.array(start, np.float64), np.array(end, np.float64), across, across if up is None else up


def _back(rng: np.random.Generator, half: float, depth: float, thick: float) -> list[Beam]:
    """Of a chair: posts, and slats, rungs, a lattice or a board between them."""
    top, lean = rng.uniform(0.7, 1.3), rng.uniform(0, 0.25)
    z = depth + np.array([0, lean])
    parts = [_beam((x, 0, z[0]), (x, top, z[1]), thick) for x in (-half, half)]
    parts.append(_beam((-half, top, z[1]), (half, top, z[1]), thick, rng.uniform(1, 4) * thick))
    kind, slim = rng.integers(4), rng.uniform(0.4, 0.9) * thick

    def at(height: float) -> float:
        return z[0] + (z[1] - z[0]) * height / top

    if kind in (0, 2):
        for x in np.linspace(-half, half, int(rng.integers(4, 9)))[1:-1]:
            parts.append(_beam((x, 0, z[0]), (x, top, z[1]), slim))
    if kind in (1, 2):
        for y in np.linspace(0, top, int(rng.integers(3, 7)))[1:-1]:
            parts.append(_beam((-half, y, at(y)), (half, y, at(y)), slim))
    if kind == 3:
        low, high = rng.uniform(0.1, 0.4) * top, rng.uniform(0.7, 0.95) * top
        parts.append(_beam((0, low, at(low)), (0, high, at(high)), 2 * half, thick / 2))
    return parts


def _legs(rng: np.random.Generator, half: float, depth: float, thick: float) -> list[Beam]:
    """Four, that may spread and have rungs between them, or a column on a star."""
    height, spread = rng.uniform(0.7, 1.2), rng.uniform(1, 1.25)
    if rng.random() < 0.25:
        star = [_beam((0, -height, 0), (0.6 * math.cos(a), -height - 0.1, 0.6 * math.sin(a)), thick)
                for a in np.arange(5) * math.tau / 5]  # fmt: skip
        return [_beam((0, 0, 0), (0, -height, 0), 1.6 * thick), *star]
    feet = [(x * half, z * depth) for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    parts = [_beam((x, 0, z), (spread * x, -height, spread * z), thick) for x, z in feet]
    if rng.random() < 0.6:
        y, wide = -height * rng.uniform(0.3, 0.7), 1 + (spread - 1) * 0.5
        for (x, z), (x2, z2) in zip(feet, feet[1:] + feet[:1]):
            parts.append(_beam((wide * x, y, wide * z), (wide * x2, y, wide * z2), 0.7 * thick))
    return parts


def chair(rng: np.random.Generator) -> list[Beam]:
    """A chair, a stool, a bench or a table."""
    half, depth, thick = rng.uniform(0.35, 0.6), rng.uniform(0.35, 0.55), rng.uniform(0.03, 0.1)
    if rng.random() < 0.2:
        half *= rng.uniform(1.5, 2.2)
    parts = [_beam((0, 0, -depth), (0, 0, depth), 2 * half + thick, thick), *_legs(rng, half, depth, thick)]
    if rng.random() < 0.75:
        parts += _back(rng, half, depth, thick)
        if rng.random() < 0.35:
            arm = rng.uniform(0.3, 0.5)
            for x in (-half, half):
                parts.append(_beam((x, arm, -depth), (x, arm, depth), thick))
                parts.append(_beam((x, 0, -depth), (x, arm, -depth), thick))
    return parts


def _box(beam: Beam) -> Array:
    """Its corners (8, 3)."""
    start, end, across, up = beam
    along = end - start
    length = np.linalg.norm(along)
    third = along / length
    # Sideways is level, if the beam is not upright.
    side = np.cross((0, 1, 0), third) if abs(third[1]) < 0.9 else np.cross((0, 0, 1), third)
    side /= np.linalg.norm(side)
    axes = np.stack([side * across / 2, np.cross(third, side) * up / 2, along / 2])
    return (start + end) / 2 + _CORNERS @ axes


def _view(rng: np.random.Generator) -> Array:
    """A rotation (3, 3) to the viewer's axes: right, up, and away from what is seen."""
    turn, down, roll = rng.uniform(0, math.tau), rng.uniform(0.1, 0.6), rng.normal(0, 0.15)
    around = np.array([[math.cos(turn), 0, math.sin(turn)], [0, 1, 0], [-math.sin(turn), 0, math.cos(turn)]])
    tilt = np.array([[1, 0, 0], [0, math.cos(down), -math.sin(down)], [0, math.sin(down), math.cos(down)]])
    lean = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    return lean @ tilt @ around


def _faces(beams: list[Beam], view: Array) -> list[tuple[float, Array, float]]:
    """Depth, outline (4, 2) and light of the faces that look at the viewer, from back to front."""
    faces = []
    for beam in beams:
        corners = _box(beam)
        middle, seen = corners.mean(0), corners @ view.T
        for face in _FACES:
            normal = np.cross(corners[face[1]] - corners[face[0]], corners[face[3]] - corners[face[0]])
            normal *= np.sign(normal @ (corners[list(face)].mean(0) - middle)) / np.linalg.norm(normal)
            if (view @ normal)[2] > 0:
                faces.append((seen[list(face), 2].mean(), seen[list(face), :2] * (1, -1), float(normal @ _LIGHT)))
    return sorted(faces, key=lambda f: f[0])


def picture(rng: np.random.Generator, size: float) -> Array:
    """A piece of furniture of `size` px: colour times coverage, and coverage (H, W, 4). Its border is transparent."""
    faces = _faces(chair(rng), _view(rng))
    points = np.concatenate([outline for _, outline, _ in faces])
    low, extent = points.min(0), np.ptp(points, axis=0)
    zoom, border = size / extent.max(), 4
    width, height = (np.ceil(extent * zoom).astype(int) + 2 * border).tolist()
    shades, cover = (np.zeros((height * _SCALE, width * _SCALE), np.float32) for _ in range(2))
    for _, outline, light in faces:
        corners = np.round(((outline - low) * zoom + border) * _SCALE * 16).astype(np.int32)
        cv2.fillConvexPoly(shades, corners, 0.45 + 0.55 * max(0.0, light), shift=4)
        cv2.fillConvexPoly(cover, corners, 1.0, shift=4)
    shades, cover = (cv2.resize(a, (width, height), interpolation=cv2.INTER_AREA)[..., None] for a in (shades, cover))
    paint = rng.uniform(0.15, 0.9) + 0.12 * rng.standard_normal(3) + rng.uniform(0.2, 0.8) * _grain(rng, height, width)
    return np.concatenate([shades * np.clip(paint, 0.03, 1), cover], -1).astype(np.float32)


def _grain(rng: np.random.Generator, height: int, width: int) -> Array:
    """Unevenness of a paint, (H, W, 3) of both signs: of its brightness more than of its colour."""
    clouds = clouded(rng, height, width)
    clouds = clouds - clouds.mean((0, 1))
    return clouds + rng.uniform(0.3, 1) * (1.7 * clouds.mean(-1, keepdims=True) - clouds)

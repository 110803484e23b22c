"""Rendered test pairs that owe nothing to `scenes/`, on which models are trained: another renderer, other pictures."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch

from ..datasets import FlowPair
from .layers import grid, project
from .sampling import sample

Array = np.ndarray


def fractal(rng: np.random.Generator, height: int, width: int, coarsest: int, octaves: int) -> Array:
    """Fractal value noise (H, W), mean 0, standard deviation 1."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cell = coarsest / 2**octave
        lattice = rng.standard_normal((math.ceil(height / cell) + 3, math.ceil(width / cell) + 3)).astype(np.float32)
        large = cv2.resize(lattice, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        total += large[:height, :width] * 0.6**octave
    return (total - total.mean()) / total.std()


def clouded(rng: np.random.Generator, height: int, width: int) -> Array:
    """A clouded texture of one hue, (H, W, 3) in 0..1."""
    grain = [fractal(rng, height, width, 96, 6) for _ in range(3)]
    return np.clip(rng.uniform(0.25, 0.75, 3) + 0.16 * np.stack(grain, -1), 0, 1).astype(np.float32)


def leaves(seed: int, height: int, width: int, count: int = 8000) -> Array:
    """A picture with the statistics of a photograph, (H, W, 3) in 0..1, of `count` shapes.

    Dead leaves (Lee, Mumford and Huang, 2001): opaque shapes over each other whose sizes follow a power law have the
    spectrum and the edges of natural pictures; each is shaded and grained.
    """
    rng = np.random.default_rng(seed)
    scale = 2  # drawn at twice the size, so that edges come out smooth
    canvas = np.full((scale * height, scale * width, 3), 0.5, np.float32)
    smallest, largest = 4.0 * scale, 0.4 * scale * min(height, width)
    # Radii with a density of r^-3: 1 / r^2 is uniform.
    for radius in 1 / np.sqrt(rng.uniform(1 / largest**2, 1 / smallest**2, count)):
        centre = (int(rng.integers(0, scale * width)), int(rng.integers(0, scale * height)))
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.4, 1))))
        colour = np.clip(rng.uniform(0.1, 0.8) + 0.07 * rng.standard_normal(3), 0, 1)
        cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour.tolist(), -1)
    canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    shade = fractal(rng, height, width, 128, 7)[..., None]
    return np.clip(canvas * (1 + 0.15 * shade), 0, 1)


def random_homography(rng: np.random.Generator, height: int, width: int, largest: float) -> Array:
    """(3, 3) about the centre, whose largest displacement within the frame is `largest` px."""
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1.0]])
    angle, heading = rng.normal(0, 0.06), rng.uniform(0, 2 * math.pi)
    generator = np.zeros((3, 3))
    generator[:2, :2] = [[rng.normal(0, 0.05), -angle], [angle, rng.normal(0, 0.05)]]
    generator[:2, 2] = 20 * rng.uniform(0.2, 1) * np.array([math.cos(heading), math.sin(heading)])
    generator[2, :2] = rng.normal(0, 0.06, 2) / max(height, width)
    pixels = grid(height, width)

    def at(scale: float) -> Array:
        return centre @ (np.eye(3) + scale * generator) @ np.linalg.inv(centre)

    low, high = 0.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        reach = np.linalg.norm(project(at(middle), pixels) - pixels, axis=-1).max()
        low, high = (middle, high) if reach < largest else (low, middle)
    return at(low)


def as_pair(frame1: Array, frame2: Array, flow: Array, valid: Array) -> FlowPair:
    """From (H, W, C) in 0..1; frames are rounded to 8 bits, as those that a camera delivers."""

    def frame(a: Array) -> torch.Tensor:
        return torch.from_numpy(np.round(np.clip(a, 0, 1) * 255).astype(np.float32) / 255).permute(2, 0, 1).contiguous()

    flow = torch.from_numpy(flow.astype(np.float32)).permute(2, 0, 1).contiguous()
    return FlowPair(frame(frame1), frame(frame2), flow, torch.from_numpy(valid))


def warped(picture: Array, seed: int, largest: float = 40.0, changed: bool = False) -> FlowPair:
    """A picture (H, W, 3) in 0..1 and its warp under a homography; valid where the motion stays within the frame.

    The frames are its middle, so that what comes in at the border is there. `changed`: frame 2 is brighter, blurred
    and noisy.
    """
    rng = np.random.default_rng(seed)
    border = math.ceil(largest)
    height, width = (n - 2 * border for n in picture.shape[:2])
    height, width = height // 16 * 16, width // 16 * 16
    matrix = random_homography(rng, height, width, largest)
    pixels = grid(height, width)
    target, source = project(matrix, pixels), project(np.linalg.inv(matrix), pixels)
    frame1 = picture[border : border + height, border : border + width]
    frame2 = sample(picture, source + border)
    if changed:
        frame2 = cv2.GaussianBlur(np.clip(1.35 * frame2, 0, 1) ** 1.1, (0, 0), 1.0)
        frame2 = frame2 + rng.normal(0, 0.02, frame2.shape)
    valid = ((target >= 0) & (target <= (width - 1, height - 1))).all(-1)
    return as_pair(frame1, frame2, target - pixels, valid)


def ellipses(seed: int, height: int = 480, width: int = 640, largest: float = 40.0) -> FlowPair:
    """Clouded ellipses that move over a clouded background, each by an affine motion of up to `largest` px."""
    rng = np.random.default_rng(seed)
    pixels = grid(height, width)
    frames = [np.zeros((height, width, 3), np.float32) for _ in range(2)]
    flow = np.zeros((height, width, 2))
    for layer in range(int(rng.integers(5, 10))):
        centre = np.array([width, height]) * (rng.uniform(0, 1, 2) if layer else 0.5)
        axes = rng.uniform(0.1, 0.35, 2) * height
        turn = rng.uniform(0, math.pi)
        cos, sin = math.cos(turn), math.sin(turn)
        heading, speed = rng.uniform(0, 2 * math.pi), largest * rng.uniform(0.2, 0.9)
        shift = speed * np.array([math.cos(heading), math.sin(heading)])
        linear = np.eye(2) + rng.normal(0, 0.03 * (largest / 40), (2, 2))
        margin = 2 * math.ceil(largest) + 64
        texture = clouded(rng, height + 2 * margin, width + 2 * margin)
        places = (pixels, (pixels - centre - shift) @ np.linalg.inv(linear).T + centre)
        for frame, place in zip(frames, places):
            cover = np.ones((height, width, 1), np.float32)
            if layer:
                local = (place - centre) @ np.array([[cos, -sin], [sin, cos]]) / axes
                radius = np.linalg.norm(local, axis=-1)
                # The distance to the edge in px, to first order, for a soft edge of one px.
                cover = np.clip(0.5 + (1 - radius) * axes.min(), 0, 1).astype(np.float32)[..., None]
            seen = cover[..., 0] > 0
            frame[seen] += cover[seen] * (sample(texture, place[seen] + margin) - frame[seen])
            if frame is frames[0]:
                moved = (pixels - centre) @ linear.T + centre + shift - pixels
                flow = np.where(cover > 0.5, moved, flow)
    return as_pair(frames[0], frames[1], flow, np.ones((height, width), bool))

"""What a camera does to a pair whose flow is known: exposure that varies, and a night's noise and rain."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..datasets import FlowPair
from .pictures import as_pair

Array = np.ndarray

GAINS = (0.6, 1.6)


def _frames(pair: FlowPair) -> list[Array]:
    """Frames (H, W, 3) in 0..1."""
    return [frame.permute(1, 2, 0).numpy() for frame in (pair.frame1, pair.frame2)]


def _with(pair: FlowPair, frames: list[Array]) -> FlowPair:
    """The pair with other frames."""
    return as_pair(*frames, pair.flow.permute(1, 2, 0).numpy(), pair.valid.numpy())


def gains(rng: np.random.Generator, height: int, width: int) -> tuple[Array, Array]:
    """Two fields (H, W, 1) of gain within `GAINS`, of a rolling shutter under a light that changes.

    Rows are exposed one after the other, so the light's wave over time runs down a frame and, a frame later, has moved
    on. It falls off a little towards a side.
    """
    periods, phase = rng.uniform(0.3, 1.5), rng.uniform(0, 2 * math.pi)
    step = rng.uniform(0.2, 0.5) * rng.choice([-1, 1]) * 2 * math.pi
    side = rng.uniform(-0.15, 0.15) * np.linspace(-1, 1, width)[None, :, None]
    rows = 2 * math.pi * periods * np.linspace(0, 1, height)[:, None, None]
    low, high = np.log(GAINS)
    strength = rng.uniform(0.5, 1)

    def at(time: float) -> Array:
        wave = strength * np.sin(rows + phase + time * step) + side
        return np.exp(low + (high - low) * (0.5 + 0.5 * np.clip(wave, -1, 1)))

    return at(0), at(1)


def exposed(pair: FlowPair, seed: int) -> FlowPair:
    """Frames under changing gain; gamma and offset differ between them too."""
    rng = np.random.default_rng((seed, 1))
    fields = gains(rng, *pair.valid.shape)
    frames = []
    for frame, gain in zip(_frames(pair), fields):
        frame = np.clip(gain * frame, 0, 1) ** np.exp(rng.uniform(-0.25, 0.25))
        frames.append(frame + rng.uniform(-0.05, 0.05))
    return _with(pair, frames)


def rain(rng: np.random.Generator, height: int, width: int) -> Array:
    """Streaks of light (H, W, 1), 0..1."""
    scale = 2  # drawn at twice the size, so that edges come out smooth
    canvas = np.zeros((scale * height, scale * width), np.float32)
    slant = rng.normal(0, 0.15)
    for _ in range(int(rng.integers(100, 300) * height * width / 307_200)):
        x, y = rng.uniform(-0.1, 1.1) * width, rng.uniform(-0.1, 1.1) * height
        length, angle = rng.uniform(12, 60), slant + rng.normal(0, 0.03)
        ends = np.array([(x, y), (x + length * math.sin(angle), y + length * math.cos(angle))]) * scale
        start, end = ends.round().astype(int).tolist()
        cv2.line(canvas, start, end, rng.uniform(0.05, 0.35), int(rng.integers(1, 5)))
    canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(canvas, (0, 0), 0.6)[..., None]


def night(pair: FlowPair, seed: int, strongest: float = 0.08) -> FlowPair:
    """Dark frames with streaks of rain and sensor noise of a deviation up to `strongest`, both of each frame's own."""
    rng = np.random.default_rng((seed, 2))
    exposure = rng.uniform(0.3, 0.6)
    # Read noise is everywhere alike; the variance of shot noise is proportional to the light. Light of 0.5 has `sigma`.
    sigma = rng.uniform(0.4, 1) * strongest
    read = sigma * rng.uniform(0.3, 0.7)
    shot = math.sqrt((sigma**2 - read**2) / 0.5)
    frames = []
    for frame in _frames(pair):
        light = np.clip(exposure * frame + rain(rng, *frame.shape[:2]), 0, 1)
        frames.append(light + rng.normal(0, 1, light.shape) * np.sqrt(read**2 + shot**2 * light))
    return _with(pair, frames)

"""A picture between its pixels, by an interpolation that moves nothing.

Frame 2 of a pair is sampled where the true flow says, so the interpolation must not move what it samples. That of
OpenCV and PyTorch (`INTER_CUBIC`, `bicubic`: Keys' kernel with a = -0.75) does: it displaces a ramp by up to 0.048 px,
and `cv2.remap` rounds places to 1/32 px as well. Keys' kernel with a = -0.5 (Catmull and Rom's spline) reproduces
polynomials of the second degree exactly (Keys, 1981).
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def _weights(t: Array) -> list[Array]:
    """Catmull and Rom's weights of the four pixels around a place, `t` in 0..1 behind the second of them."""
    return [
        t * (-0.5 + t * (1 - 0.5 * t)),
        1 + t * t * (-2.5 + 1.5 * t),
        t * (0.5 + t * (2 - 1.5 * t)),
        t * t * (-0.5 + 0.5 * t),
    ]


def _reflected(index: Array, size: int) -> Array:
    """Indices of 0..size-1, mirrored at the first and the last pixel."""
    index = index % max(1, 2 * (size - 1))
    return np.minimum(index, 2 * (size - 1) - index)


def sample(picture: Array, places: Array) -> Array:
    """A picture (H, W, C) at places (..., 2) of x and y, px: float32 (..., C). Beyond its border it is mirrored."""
    height, width, channels = picture.shape
    flat = np.ascontiguousarray(picture, np.float32).reshape(-1, channels)
    corner = np.floor(places)
    part = (places - corner).astype(np.float32)
    corner = corner.astype(np.int64) - 1
    columns = [_reflected(corner[..., 0] + i, width) for i in range(4)]
    across = [weight[..., None] for weight in _weights(part[..., 0])]
    total = np.zeros((*places.shape[:-1], channels), np.float32)
    for i, down in enumerate(_weights(part[..., 1])):
        row = _reflected(corner[..., 1] + i, height) * width
        line = across[0] * flat[row + columns[0]]
        for weight, column in zip(across[1:], columns[1:]):
            line += weight * flat[row + column]
        total += down[..., None] * line
    return total

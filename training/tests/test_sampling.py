"""Tests of the interpolation that frame 2 of rendered pairs is sampled with."""

import cv2
import numpy as np
import pytest

from dinov3_flow.evaluation.sampling import sample


def ramp(height=24, width=32):
    """x and y of every pixel, as two channels."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


def inside(shift, height=24, width=32):
    """Places whose four neighbours on each side lie in the picture, moved by `shift`."""
    return ramp(height, width)[4:-4, 4:-4].astype(np.float64) + shift


@pytest.mark.parametrize("shift", [(0, 0), (0.25, 0.75), (0.82, -0.82), (1 / 3, 0.5), (-2.013, 1.99)])
def test_a_ramp_is_reproduced_exactly(shift):
    places = inside(shift)
    assert np.abs(sample(ramp(), places) - places).max() < 1e-4


def test_the_kernel_of_opencv_moves_a_ramp():
    places = inside((0.78125, 0)).astype(np.float32)
    picture = np.ascontiguousarray(ramp()[..., 0])
    moved = cv2.remap(picture, places[..., 0], places[..., 1], cv2.INTER_CUBIC)
    assert 0.04 < np.abs(moved - places[..., 0]).max() < 0.05


def test_pixels_keep_their_values_and_the_border_mirrors():
    picture = np.random.default_rng(1).random((7, 9, 3), np.float32)
    padded = np.pad(picture, ((6, 6), (8, 8), (0, 0)), mode="reflect")
    places = ramp(7 + 12, 9 + 16).astype(np.float64) - (8, 6)
    assert np.array_equal(sample(picture, places), padded)
    assert np.allclose(sample(picture, places + (0.3, 0.6))[3:-3, 3:-3],
                       sample(padded, places + (8.3, 6.6))[3:-3, 3:-3], atol=1e-5)  # fmt: skip
    assert np.array_equal(sample(picture[:1, :1], np.zeros((2, 2)))[0], picture[0, 0])

"""Tests of the figures of confidence."""

import math

import pytest
import torch

from dinov3_flow.evaluation.confidence import Confidence

ERRORS = torch.rand(40, 50, generator=torch.Generator().manual_seed(1)) ** 3 * 8
ALL = torch.ones(40, 50, dtype=torch.bool)


def figures(confidence, error=ERRORS, valid=ALL):
    figures = Confidence()
    figures.add(confidence, error, valid)
    return figures.figures()


def test_the_order_of_the_errors_is_the_oracles_and_no_order_is_a_random_one():
    assert figures(1 / (1 + ERRORS))["ause"] == pytest.approx(0, abs=1e-9)
    assert figures(torch.full_like(ERRORS, 0.3))["ause"] == pytest.approx(1)
    noise = torch.rand(40, 50, generator=torch.Generator().manual_seed(2))
    assert figures(noise)["ause"] == pytest.approx(1, abs=0.1)
    assert figures(ERRORS / 8)["ause"] > 1.5
    assert 0.1 < figures(0.4 / (1 + ERRORS) + 0.6 * noise)["ause"] < 0.9


def test_the_area_is_that_of_the_curves():
    error, confidence = torch.tensor([[4.0, 1.0, 3.0]]), torch.tensor([[0.9, 0.5, 0.1]])
    # What is left, of three pixels to one: by confidence 8/3, 5/2, 4; oracle 8/3, 2, 1; at random 8/3 throughout.
    assert figures(confidence, error, ALL[:1, :3])["ause"] == pytest.approx((0.5 + 3) / (2 / 3 + 5 / 3))


def test_a_confidence_is_calibrated_if_it_is_the_share_of_pixels_within_1_px():
    error = torch.tensor([[0.5, 0.5, 0.5, 2.0]])
    valid = ALL[:1, :4]
    assert figures(torch.full((1, 4), 0.75), error, valid)["ece"] == pytest.approx(0)
    assert figures(torch.full((1, 4), 1.0), error, valid)["ece"] == pytest.approx(0.25)
    assert figures(torch.tensor([[1.0, 1.0, 1.0, 0.0]]), error, valid)["ece"] == pytest.approx(0)
    assert figures(torch.tensor([[0.0, 0.0, 0.0, 1.0]]), error, valid)["ece"] == pytest.approx(1)
    # Each bin is off by itself: 0.55 with all right, and 0.95 with none.
    assert figures(torch.tensor([[0.55, 0.55, 0.55, 0.95]]), error, valid)["ece"] == pytest.approx(
        (3 * 0.45 + 0.95) / 4
    )


def test_only_valid_pixels_count():
    valid = torch.zeros_like(ALL)
    valid[:20] = True
    half = figures(ERRORS[:20] / 9, ERRORS[:20], ALL[:20])
    assert figures(torch.where(valid, ERRORS / 9, math.nan), ERRORS, valid) == half
    assert all(math.isnan(value) for value in figures(ERRORS / 9, ERRORS, ~ALL).values())
    # Without errors there is nothing to order.
    assert math.isnan(figures(ERRORS / 9, torch.zeros_like(ERRORS))["ause"])

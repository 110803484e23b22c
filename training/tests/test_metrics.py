import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from dinov3_flow.metrics import Metrics, epe_map, masked_l1

FIXTURES = Path(__file__).parents[2] / "test" / "fixtures" / "metrics"


def floats(name, *shape):
    return torch.from_numpy(np.fromfile(FIXTURES / name, "<f4").reshape(shape))


def pixels(*motions):
    """(1, 2, 1, N)"""
    return torch.tensor(motions, dtype=torch.float32).T[None, :, None]


@pytest.fixture
def golden():
    expected = json.loads((FIXTURES / "expected.json").read_text())
    valid = floats("valid_2x24x32.f32", 2, 24, 32) >= 0.5
    return floats("pred_2x2x24x32.f32", 2, 2, 24, 32), floats("gt_2x2x24x32.f32", 2, 2, 24, 32), valid, expected


@pytest.mark.parametrize("size", [1, 2])
def test_golden_figures(golden, size):
    pred, gt, valid, expected = golden
    metrics = Metrics()
    for part in zip(pred.split(size), gt.split(size), valid.split(size)):
        metrics.add(*part)
    got = metrics.result()
    assert metrics.valid_pixels == expected["valid_pixels"]
    assert got["epe"] == pytest.approx(expected["epe"], rel=1e-6)
    assert got["fl_all"] == pytest.approx(expected["fl_all_percent"], rel=1e-10)
    for px in (1, 3, 5):
        assert got[f"out{px}"] == pytest.approx(100 * (1 - expected[f"px{px}"]), rel=1e-6)


def test_golden_loss(golden):
    pred, gt, valid, expected = golden
    assert masked_l1(pred, gt, valid).item() == pytest.approx(expected["loss"], rel=1e-6)


def test_epe_map():
    error = epe_map(pixels([3, 4], [1, 1]), pixels([0, 0], [1, 1]))
    assert error.tolist() == [[[5, 0]]]


def test_fl_all_needs_both_bounds():
    truth = pixels([100, 0], [100, 0], [0, 0], [0, 0])
    got = Metrics().add(pixels([104, 0], [106, 0], [3, 0], [3.5, 0]), truth).result()
    assert got["fl_all"] == 50


def test_shares_are_of_errors_that_are_not_below_a_bound():
    got = Metrics().add(pixels([0.4, 0], [0.5, 0], [0.9, 0], [4, 0]), pixels(*[[0, 0]] * 4)).result()
    assert (got["out05"], got["out1"], got["out3"], got["out5"]) == (75, 25, 25, 0)


def test_unknown_and_far_pixels_are_left_out():
    truth = pixels([math.nan, 0], [0, math.inf], [400, 0], [399, 0])
    pred = pixels([0, 0], [0, 0], [0, 0], [399, 2]).requires_grad_()
    loss = masked_l1(pred, truth)
    assert loss.item() == 2 / 8
    loss.backward()
    assert pred.grad[0, :, 0].T.tolist() == [[0, 0], [0, 0], [0, 0], [0, 1 / 8]]
    metrics = Metrics().add(pred, truth)
    assert metrics.valid_pixels == 1 and metrics.result()["epe"] == 2


def test_nan_prediction_cannot_hide():
    got = Metrics().add(pixels([math.nan, 0], [0, 0]), pixels([0, 0], [0, 0])).result()
    assert math.isnan(got["epe"])
    assert got["out1"] == got["out5"] == got["fl_all"] == 50


def test_nothing_valid():
    truth = pixels([0, 0])
    valid = torch.zeros(1, 1, 1, dtype=torch.bool)
    assert masked_l1(truth, truth, valid).item() == 0
    assert all(math.isnan(value) for value in Metrics().add(truth, truth, valid).result().values())


def test_wrong_shapes_are_refused():
    one, two = pixels([0, 0]), pixels([0, 0], [0, 0])
    with pytest.raises(ValueError, match="differ in shape"):
        masked_l1(one, two)
    with pytest.raises(ValueError, match="differ in shape"):
        Metrics().add(one, two)
    with pytest.raises(ValueError, match="valid is"):
        masked_l1(two, two, torch.ones(1, 1, 1, dtype=torch.bool))

"""Tests of the fit of confidence, on pairs whose flow is right as often as a formula says."""

import re

import pytest
import torch

from dinov3_flow import fit_confidence
from dinov3_flow.fit_confidence import HIDDEN, MEASURES, Rated, Rating, figures, fit, header


def pair(index: int, height: int = 20, width: int = 31) -> Rated:
    """A flow is right with probability 1 - the third measure. The others say nothing. A quarter is not valid."""
    generator = torch.Generator().manual_seed(index)
    measures = torch.rand(height, width, MEASURES, generator=generator)
    wrong = torch.rand(height, width, generator=generator) < measures[..., 2]
    error = (0.2 + 2 * wrong.float()).repeat_interleave(2, 0).repeat_interleave(2, 1)
    valid = torch.ones(2 * height, 2 * width, dtype=torch.bool)
    valid[:height, :width] = False
    error[:height, :width] = 1 - error[:height, :width]  # the opposite: a fit that takes part of it is worse
    return Rated("made up", index, measures, error, valid)


@pytest.fixture(scope="module")
def model() -> Rating:
    return fit([pair(index) for index in range(0, 8, 2)])


def test_a_fit_finds_the_probability_that_a_flow_is_right(model):
    measures = torch.rand(1000, MEASURES, generator=torch.Generator().manual_seed(99))
    with torch.no_grad():
        probability = torch.sigmoid(model(measures))
    assert (probability - (1 - measures[:, 2])).abs().mean() < 0.08


def test_a_fit_is_the_same_again(model):
    again = fit([pair(index) for index in range(0, 8, 2)])
    for weights, expected in zip(again.parameters(), model.parameters()):
        assert torch.equal(weights, expected)


def test_figures_are_of_the_pairs_that_were_not_fitted(model):
    flipped = [pair(index)._replace(error=3 - pair(index).error) for index in range(0, 8, 2)]
    held_out = [pair(index) for index in range(1, 8, 2)]
    numbers = figures(model, flipped + held_out)
    assert list(numbers) == ["made up"]
    assert numbers == figures(model, held_out)
    assert numbers["made up"]["ece"] < 0.1 < figures(model, [it._replace(index=1) for it in flipped])["made up"]["ece"]


def test_the_header_holds_every_weight(model, tmp_path):
    text = header({"weights_alone": model, "weights_with_backward": Rating()})
    names = re.findall(r"inline constexpr ConfidenceWeights (\w+) = ", text)
    assert names == ["weights_alone", "weights_with_backward"]
    count = HIDDEN * (MEASURES + 1) + HIDDEN + 1
    numbers = [float(number) for number in re.findall(r"(-?\d[-+.\de]*)F", text)]
    assert len(numbers) == 2 * count
    layers = [torch.cat([layer.weight, layer.bias[:, None]], 1).flatten() for layer in (model.hidden, model.out)]
    expected = torch.cat(layers)
    assert torch.allclose(torch.tensor(numbers[:count]), expected, rtol=1e-4, atol=0)
    committed = fit_confidence.HEADER.read_text()
    assert re.sub(r"[-\d.e]+F", "", committed).split() == re.sub(r"[-\d.e]+F", "", text).split()

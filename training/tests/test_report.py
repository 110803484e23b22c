"""Tests of the tables of an evaluation."""

from xml.etree import ElementTree

import pytest
import torch

from dinov3_flow.datasets import FlowPair
from dinov3_flow.evaluation.methods import Prediction
from dinov3_flow.evaluation.plot import plot, points
from dinov3_flow.evaluation.report import Row, card, table
from dinov3_flow.evaluation.suites import Suite


@pytest.fixture
def pair():
    """Motions of 3 to the right and 4 down; the last row is unknown."""
    valid = torch.ones(4, 5, dtype=torch.bool)
    valid[3] = False
    flow = torch.tensor([3.0, 4.0])[:, None, None].repeat(1, 4, 5)
    return FlowPair(torch.zeros(3, 4, 5), torch.zeros(3, 4, 5), flow, valid)


@pytest.fixture
def suite(pair):
    return Suite("shift", "everything moves by 5 px", 2, lambda index: pair)


@pytest.fixture
def three(pair):
    """Figures of three methods, of which the last has a confidence and its own clock."""
    off = {name: torch.tensor(by)[:, None, None] for name, by in (("DIS medium", [0, 2.0]), ("ours", [0.6, 0]))}
    predictions = {
        "zero": Prediction(torch.zeros(2, 4, 5)),
        "DIS medium": Prediction(pair.flow + off["DIS medium"]),
        "ours": Prediction(pair.flow + off["ours"], torch.full((4, 5), 0.75), 0.25),
    }
    rows = {name: Row() for name in predictions}
    for name, row in rows.items():
        for _ in range(2):
            row.add(predictions[name], pair, 0.01)
    return {name: row.figures() for name, row in rows.items()}


def test_figures_are_of_valid_pixels_and_of_the_time_that_a_method_tells(three):
    assert three["zero"]["epe"] == 5 and three["DIS medium"]["epe"] == 2
    assert three["ours"]["out05"] == 100 and three["ours"]["out1"] == 0
    assert three["ours"]["ms"] == 250 and three["zero"]["ms"] == 10
    assert three["ours"]["ece"] == pytest.approx(0.25) and "ece" not in three["zero"]


def test_a_table_has_all_methods_of_a_suite(suite, three):
    lines = table(suite, three).splitlines()
    assert lines[0] == "**shift**: everything moves by 5 px; 2 pairs"
    assert lines[2].startswith("| method | EPE, px | of DIS medium, % | over 0.5 px, % | over 1 px, % |")
    assert lines[4] == "| zero | 5.000 | 250 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 0.000 |  |  | 10 |"
    assert lines[6].startswith("| ours | 0.600 | 30 | 100.0 | 0.0 |") and lines[6].endswith(" | 0.250 | 250 |")
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_a_card_has_a_row_for_each_suite(suite, three):
    lines = card([suite, suite], {"shift": three}).splitlines()
    assert lines[0].endswith("of ours, but for the very last:")
    assert lines[2].startswith("| pairs | zero | DIS medium | ours | of zero | of DIS medium | over 0.5 px | over 1 px")
    assert lines[4] == "| everything moves by 5 px | 5.00 | 2.00 | 0.60 | 12 % | 30 % | 100 % | 0 % | 0 % | 0 % | 0 % | 100 % |"
    assert lines[5] == lines[4] and len(lines) == 6


def test_the_plot_shows_each_method_where_its_figures_are():
    figures = {
        "easy": {"zero": {"epe": 9, "ms": 0.1}, "DIS medium": {"epe": 1.0, "ms": 20}, "ours": {"epe": 0.25, "ms": 40}},
        "hard": {"zero": {"epe": 9, "ms": 0.1}, "DIS medium": {"epe": 4.0, "ms": 20}, "ours": {"epe": 4.0, "ms": 90}},
    }
    assert [p.name for p in points(figures)] == ["DIS medium", "ours"]
    assert points(figures)[0][1:] == pytest.approx((20, 1))
    assert points(figures)[1][1:] == pytest.approx((60, 0.5))  # geometric means
    drawing = ElementTree.fromstring(plot(figures))
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in drawing.iter("{http://www.w3.org/2000/svg}circle")]
    (left, upper), (right, lower) = circles
    assert left < right and upper < lower  # slower, and more accurate


def test_a_method_without_error_is_still_on_the_plot():
    figures = {"still": {"DIS medium": {"epe": 0.0, "ms": 20}, "ours": {"epe": 0.0, "ms": 40}}}
    assert [p.error for p in points(figures)] == [1, 1]
    ElementTree.fromstring(plot(figures))

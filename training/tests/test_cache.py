"""Tests of rendered pairs on disk."""

import sys

import numpy as np
import pytest
import torch

from dinov3_flow.evaluation import cache
from dinov3_flow.evaluation.pictures import ellipses
from dinov3_flow.evaluation.suites import Suite


@pytest.fixture
def suite():
    """A suite of small pairs that counts how many it rendered."""
    rendered = []

    def pair(index):
        rendered.append(index)
        made = ellipses(3 + index, 48, 64, 5)
        return made._replace(valid=made.flow[0] > 0)

    return Suite("far away", "", 2, pair), rendered


def test_a_cached_pair_is_the_rendered_one_and_rendered_once(suite, tmp_path):
    suite, rendered = suite
    again = cache.cached(suite, tmp_path / "new", 5)
    for _ in range(2):
        for index, pair in enumerate(again.pairs()):
            assert all(torch.equal(*parts) for parts in zip(pair, suite.pair(index)))
    assert rendered == [0, 0, 1, 1, 0, 1]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["far_away_0.npz", "far_away_1.npz"]
    with np.load(tmp_path / "new" / "far_away_1.npz") as file:
        assert {name: (file[name].dtype.name, file[name].shape) for name in ("a", "b", "flow", "valid")} == {
            "a": ("uint8", (48, 64, 3)), "b": ("uint8", (48, 64, 3)), "flow": ("float32", (48, 64, 2)),
            "valid": ("bool", (48, 64)),
        }  # fmt: skip


def test_a_pair_of_another_base_seed_is_refused(suite, tmp_path):
    cache.cached(suite[0], tmp_path, 5).pair(0)
    with pytest.raises(ValueError, match="far_away_0.npz: holds a pair of base seed 5, not 6"):
        cache.cached(suite[0], tmp_path, 6).pair(0)


def test_the_command_renders_the_suites_that_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cache", str(tmp_path), "--pairs", "1", "--seed", "2000000", "--only", "still"])
    cache.main()
    assert [path.name for path in tmp_path.iterdir()] == ["still_0.npz"]
    monkeypatch.setattr(sys, "argv", ["cache", str(tmp_path), "--only", "stil"])
    with pytest.raises(SystemExit, match="no suite stil"):
        cache.main()

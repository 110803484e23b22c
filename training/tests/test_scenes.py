"""Tests of the procedural scenes."""

import pytest
import torch

from dinov3_flow.scenes import SceneOptions, render
from dinov3_flow.scenes.motion import LayerMotion, random_motion
from dinov3_flow.scenes.rng import Rng
from dinov3_flow.scenes.speed import pairs_per_second
from dinov3_flow.scenes.textures import HELD_OUT_KINDS, TRAIN_KINDS, texture_bank
from warping import warp

PLAIN = SceneOptions(photometric=False, motion_blur=0.0)


def test_same_seed_and_index_give_the_same_scene() -> None:
    a, b, c = (render(3, i, 3, 64, 64) for i in (5, 5, 6))
    assert all(torch.equal(p, q) for p, q in zip(a, b))
    assert not torch.equal(a.frame1, c.frame1)
    assert not torch.equal(a.frame1, render(4, 5, 3, 64, 64).frame1)


@pytest.mark.parametrize("nonrigid", [0.0, 1.0])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_flow_carries_frame_two_onto_frame_one(nonrigid: float, index: int) -> None:
    options = SceneOptions(photometric=False, motion_blur=0.0, nonrigid_share=nonrigid, static_share=0.0)
    scene = render(11, index, 6, 96, 128, options)
    seen = (scene.valid & ~scene.occluded)[:, None].expand_as(scene.frame1)
    right = (warp(scene.frame2, scene.flow) - scene.frame1).abs()[seen]
    wrong = (warp(scene.frame2, scene.flow + 3) - scene.frame1).abs()[seen]
    assert seen.float().mean() > 0.4
    assert right.median() < 0.02 and right.mean() < 0.04
    assert right.mean() < 0.6 * wrong.mean()


def test_targets_return_to_their_canonical_place() -> None:
    rng, n = Rng(7, 1, "cpu"), 16
    magnitude = rng.uniform((n,), 0.1, 60)
    layer, camera = (random_motion(magnitude, torch.full((n,), 60.0), torch.zeros(n, 2), rng) for _ in range(2))
    motion = LayerMotion(layer, camera, magnitude, torch.full((n,), 0.1), torch.ones(n, dtype=torch.bool), rng)
    x, y = (rng.uniform((n, 40, 40), -90, 90) for _ in range(2))
    u, v = motion.canonical(*motion.target(x, y), (1, 0))
    assert torch.hypot(u - x, v - y).max() < 2e-3


def test_static_pairs_have_exactly_zero_flow() -> None:
    options = SceneOptions(photometric=False, motion_blur=0.0, static_share=1.0, subpixel_share=0.0)
    scene = render(0, 0, 4, 64, 80, options)
    assert torch.count_nonzero(scene.flow) == 0
    assert not scene.occluded.any() and scene.valid.all()
    assert torch.allclose(scene.frame1, scene.frame2, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nothing_is_hidden_where_only_the_camera_moves(share: float) -> None:
    options = SceneOptions(photometric=False, motion_blur=0.0, static_share=0.0, subpixel_share=0.0, rigid_share=share)
    scene = render(5, 0, 8, 64, 96, options)
    x, y = torch.arange(96) + scene.flow[:, 0], torch.arange(64)[:, None] + scene.flow[:, 1]
    inside = (x >= 0) & (x <= 95) & (y >= 0) & (y <= 63)
    hidden = (scene.occluded & inside).float().mean()
    assert hidden < 1e-3 if share else hidden > 0.02
    assert scene.flow.norm(dim=1).flatten(1).mean(1).min() > 0.3


def test_grey_pairs_have_the_same_flow_and_less_colour() -> None:
    bright, grey = (render(6, 0, 12, 48, 64, SceneOptions(grey_share=share)) for share in (0.0, 1.0))
    assert torch.equal(bright.flow, grey.flow) and torch.equal(bright.occluded, grey.occluded)
    for before, after in ((bright.frame1, grey.frame1), (bright.frame2, grey.frame2)):
        colour, left = ((frame.amax(1) - frame.amin(1)).flatten(1).mean(1) for frame in (before, after))
        assert (left < 0.61 * colour).all()
        assert 1 <= (left < 1e-6).sum() < len(left)
        assert (before.mean(1) - after.mean(1)).abs().max() < 0.35


def test_displacements_cover_the_classes() -> None:
    sizes = torch.cat([render(2, i, 16, 48, 48, PLAIN).flow.norm(dim=1).flatten(1).amax(1) for i in range(8)])
    assert (sizes == 0).any() and ((sizes > 0) & (sizes < 1)).any() and (sizes > 16).any()
    assert sizes.max() < 200


@pytest.mark.parametrize("height,width", [(48, 112), (120, 40), (65, 97)])
def test_sizes_and_ranges(height: int, width: int) -> None:
    scene = render(1, 2, 2, height, width, SceneOptions(motion_blur=1.0))
    assert scene.frame1.shape == scene.frame2.shape == (2, 3, height, width)
    assert scene.flow.shape == (2, 2, height, width)
    assert scene.valid.shape == scene.occluded.shape == (2, height, width)
    assert scene.valid.dtype == scene.occluded.dtype == torch.bool
    for frame in (scene.frame1, scene.frame2):
        assert torch.isfinite(frame).all() and frame.min() >= 0 and frame.max() <= 1
    assert torch.isfinite(scene.flow).all()


def test_changes_of_light_and_camera_change_the_frames_and_not_the_flow() -> None:
    plain = render(3, 2, 4, 64, 64, PLAIN)
    changed = render(3, 2, 4, 64, 64, SceneOptions(motion_blur=0.0, clean_share=0.0))
    assert torch.equal(plain.flow, changed.flow) and torch.equal(plain.occluded, changed.occluded)
    for pair in range(4):
        assert not torch.equal(plain.frame1[pair], changed.frame1[pair])
        assert not torch.equal(plain.frame2[pair] - plain.frame1[pair], changed.frame2[pair] - changed.frame1[pair])


def test_speed_is_measured_without_the_first_batch() -> None:
    rates = pairs_per_second(2, (32, 32), 3, torch.device("cpu"))
    assert len(rates) == 3 and min(rates) > 0


def test_held_out_kinds_are_disjoint() -> None:
    assert len(HELD_OUT_KINDS) >= 2 and not set(HELD_OUT_KINDS) & set(TRAIN_KINDS)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_share_of_textures_is_nearly_of_one_colour(share: float) -> None:
    bank = texture_bank(400, 32, ("noise", "leaves"), share, Rng(1, 0, "cpu"))
    flat = (bank.std((2, 3)).amax(1) < 0.04).float().mean()
    assert abs(flat - share) < 0.1


@pytest.mark.parametrize("kind", TRAIN_KINDS + HELD_OUT_KINDS)
def test_each_kind_makes_textures(kind: str) -> None:
    bank = texture_bank(8, 96, (kind,), 0.12, Rng(1, 0, "cpu"))
    assert bank.shape == (8, 3, 96, 96) and torch.isfinite(bank).all()
    assert bank.flatten(2).std(2).max() > 0.05


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError):
        texture_bank(2, 32, ("no such kind",), 0.12, Rng(0, 0, "cpu"))

import pytest
import torch

from dinov3_flow.augment import Augment, hflip, resize, vflip
from dinov3_flow.datasets import FlowPair
from warping import warp

H, W = 96, 128
OFF = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "eraser_prob": 0}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth(x, y):
    """A smooth picture at any real place: (3, H, W)."""
    return torch.stack([0.5 + 0.4 * torch.sin(x / 9 + c) * torch.cos(y / 7 - c) for c in range(3)])


def moved(dx=6.0, dy=-4.0):
    """All pixels move by (dx, dy)."""
    y, x = torch.meshgrid(torch.arange(H).float(), torch.arange(W).float(), indexing="ij")
    flow = torch.tensor([dx, dy])[:, None, None].repeat(1, H, W)
    return FlowPair(smooth(x, y), smooth(x - dx, y - dy), flow, torch.ones(H, W, dtype=torch.bool))


def warp_error(pair):
    """The largest difference of frame 1 from frame 2 fetched along the flow, away from the border."""
    _, height, width = pair.flow.shape
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    x, y = x + pair.flow[0], y + pair.flow[1]
    warped = warp(pair.frame2[None], pair.flow[None])[0]
    inside = (x >= 2) & (x <= width - 3) & (y >= 2) & (y <= height - 3) & pair.valid
    assert inside.sum() > 100
    return (warped - pair.frame1).abs()[:, inside].max().item()


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two))


def test_the_check_itself_sees_wrong_flow():
    pair = moved()
    assert warp_error(pair) < 0.01
    assert warp_error(pair._replace(flow=-pair.flow)) > 0.1


@pytest.mark.parametrize("flip", [hflip, vflip])
def test_flips(flip):
    pair = moved()
    assert warp_error(flip(pair)) < 0.01
    assert not same(flip(pair), pair)
    assert same(flip(flip(pair)), pair)


def test_flips_negate_one_axis():
    pair = moved(6, -4)
    assert hflip(pair).flow[:, 0, 0].tolist() == [-6, -4]
    assert vflip(pair).flow[:, 0, 0].tolist() == [6, 4]


@pytest.mark.parametrize("size", [(144, 160), (80, 150), (72, 96)])
def test_resize(size):
    pair = resize(moved(), *size)
    assert pair.frame1.shape == (3, *size) and pair.valid.shape == size
    torch.testing.assert_close(pair.flow[:, 5, 5], torch.tensor([6 * size[1] / W, -4 * size[0] / H]))
    assert warp_error(pair) < 0.03


def test_resize_keeps_unknown_motions_apart():
    pair = moved()
    pair.valid[::2] = False
    pair.flow[:, ~pair.valid] = 1000
    pair = resize(pair, 130, 160)
    assert 0.4 < pair.valid.float().mean() < 0.6
    assert pair.flow[:, pair.valid].abs().max() < 10


@pytest.mark.parametrize("seed", range(12))
def test_spatial_moves_flow_along(seed):
    augment = Augment((64, 72), **OFF, hflip_prob=0.5, vflip_prob=0.5)
    pair = augment(moved(), seeded(seed))
    assert pair.frame1.shape == pair.frame2.shape == (3, 64, 72)
    assert pair.flow.shape == (2, 64, 72) and pair.valid.shape == (64, 72) and pair.valid.dtype == torch.bool
    assert all(tensor.is_contiguous() for tensor in pair)
    assert warp_error(pair) < 0.03


def test_a_small_frame_grows_to_the_crop():
    pair = Augment((200, 150), **OFF)(moved(), seeded())
    assert pair.flow.shape == (2, 200, 150)
    assert warp_error(pair) < 0.03


def test_repeats_with_the_seed_and_leaves_the_input():
    augment, pair = Augment((64, 64)), moved()
    assert same(augment(pair, seeded(3)), augment(pair, seeded(3)))
    assert not same(augment(pair, seeded(3)), augment(pair, seeded(4)))
    assert same(pair, moved())


@pytest.mark.parametrize("seed", range(5))
def test_symmetric_colours_keep_equal_pixels_equal(seed):
    pair = moved(0, 0)
    got = Augment((H, W), asymmetric_prob=0).photometric(pair, seeded(seed))
    torch.testing.assert_close(got.frame1, got.frame2)
    assert (got.frame1 - pair.frame1).abs().max() > 0.01
    assert 0 <= got.frame1.min() and got.frame1.max() <= 1
    got = Augment((H, W), asymmetric_prob=1).photometric(pair, seeded(seed))
    assert (got.frame1 - got.frame2).abs().max() > 0.01


def test_no_change_of_colours():
    pair = moved()
    got = Augment((H, W), **OFF).photometric(pair, seeded())
    torch.testing.assert_close(got.frame1, pair.frame1)


def test_hue_leaves_grey_alone():
    pair = moved()
    grey = pair._replace(frame1=pair.frame1[:1].repeat(3, 1, 1))
    got = Augment((H, W), **{**OFF, "hue": 0.3}).photometric(grey, seeded())
    torch.testing.assert_close(got.frame1, grey.frame1, atol=1e-3, rtol=0)
    assert (got.frame2 - grey.frame2).abs().max() > 0.05


@pytest.mark.parametrize("seed", range(5))
def test_eraser(seed):
    pair = moved()
    got = Augment((H, W), eraser_prob=1, eraser_size=(10, 20)).erase(pair, seeded(seed))
    changed = (got.frame2 != pair.frame2).any(0)
    assert 0 < changed.sum() <= 3 * 20 * 20
    mean = pair.frame2.mean(dim=(1, 2))
    torch.testing.assert_close(got.frame2[:, changed], mean[:, None].expand(3, int(changed.sum())))
    assert same(got._replace(frame2=pair.frame2), pair)
    assert Augment((H, W), eraser_prob=0).erase(pair, seeded(seed)) is pair


def test_eraser_larger_than_the_frame_is_clipped():
    got = Augment((H, W), eraser_prob=1, eraser_size=(500, 500)).erase(moved(), seeded())
    assert got.frame2.shape == (3, H, W)


def test_bad_crop():
    with pytest.raises(ValueError, match="crop"):
        Augment((0, 5))

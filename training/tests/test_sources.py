import pytest
import torch
from torch.utils.data import Dataset

from dinov3_flow.augment import Augment
from dinov3_flow.datasets import FlowPair
from dinov3_flow.scenes import SceneOptions
from dinov3_flow.sources import Augmented, Batch, ScenePool, centre_crop, dataset_batches
from warping import warp

MOVING = SceneOptions(photometric=False, motion_blur=0.0, static_share=0.0, subpixel_share=0.0)


class Numbered(Dataset):
    """Pairs whose flow is their number."""

    def __init__(self, count, size=(4, 6)):
        self.count, self.size = count, size

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        frame1, frame2 = torch.rand(2, 3, *self.size, generator=torch.Generator().manual_seed(index))
        return FlowPair(frame1, frame2, torch.full((2, *self.size), float(index)), torch.ones(self.size).bool())


def order(*args, **kwargs):
    return [batch.flow[:, 0, 0, 0].int().tolist() for batch in dataset_batches(*args, **kwargs)]


def pool(size=(32, 32), seed=0, index=0, options=MOVING, **kwargs):
    return ScenePool(options, size, seed, index, torch.device("cpu"), **kwargs)


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two))


def keys(batch):
    """What tells scenes apart and no symmetry changes: the largest motion of each."""
    return [round(motion, 3) for motion in batch.flow.norm(dim=1).flatten(1).amax(1).tolist()]


# ---- pairs on disk ---------------------------------------------------------------------------------------------------


def test_order_follows_from_seed_and_epoch():
    pairs = Numbered(20)
    first = order(pairs, 4, 1, 0, 0)
    assert first == order(pairs, 4, 1, 0, 0)
    assert sorted(sum(first, [])) == list(range(20))
    assert len({str(order(pairs, 4, seed, epoch, 0)) for seed in (1, 2) for epoch in (0, 1)}) == 4


@pytest.mark.parametrize("skip", [0, 1, 4, 5])
def test_a_resumed_epoch_has_the_batches_that_are_left(skip):
    assert order(Numbered(20), 4, 1, 3, 0, skip) == order(Numbered(20), 4, 1, 3, 0)[skip:]


def test_an_incomplete_last_batch_is_left_out_but_not_where_it_is_all():
    assert [len(batch) for batch in order(Numbered(11), 4, 0, 0, 0)] == [4, 4]
    assert sorted(order(Numbered(3), 4, 0, 0, 0)[0]) == [0, 1, 2]
    assert order(Numbered(6), 4, 0, 0, 0, shuffle=False) == [[0, 1, 2, 3], [4, 5]]


def test_workers_change_nothing():
    one, two = (list(dataset_batches(Numbered(8), 4, 5, 0, workers)) for workers in (0, 1))
    assert len(one) == 2 and all(same(a, b) for a, b in zip(one, two))
    assert isinstance(one[0], Batch) and torch.equal(one[0].visible, one[0].valid)


def test_augmentation_follows_from_seed_epoch_and_index():
    pairs = Numbered(3, (96, 128))

    def pair(seed, epoch, index):
        return Augmented(pairs, (64, 64), Augment((64, 64)), seed, epoch)[index]

    assert same(pair(1, 2, 0), pair(1, 2, 0))
    assert pair(1, 2, 0).frame1.shape == (3, 64, 64)
    for other in ((2, 2, 0), (1, 3, 0), (1, 2, 1)):
        assert not torch.equal(pair(1, 2, 0).frame1, pair(*other).frame1)
    assert len(Augmented(pairs, (64, 64), None, 0, 0)) == 3


def test_equal_pairs_are_augmented_each_in_its_way():
    twice = torch.utils.data.Subset(Numbered(1, (96, 128)), [0, 0])
    one, two = (Augmented(twice, (64, 64), Augment((64, 64)), 0, 0)[i] for i in (0, 1))
    assert not torch.equal(one.frame1, two.frame1)


def test_without_augmentation_it_is_the_middle():
    pair = Numbered(1, (6, 9))[0]
    got = Augmented(Numbered(1, (6, 9)), (4, 5), None, 0, 0)[0]
    assert same(got, centre_crop(pair, (4, 5)))
    assert torch.equal(got.frame1, pair.frame1[:, 1:5, 2:7]) and got.valid.shape == (4, 5)
    assert same(centre_crop(pair, (6, 9)), pair)
    with pytest.raises(ValueError, match="8 x 5 does not fit a frame of 6 x 9"):
        centre_crop(pair, (8, 5))


# ---- scenes ----------------------------------------------------------------------------------------------------------


def test_scenes_follow_from_seed_and_index():
    one, two = pool(), pool()
    assert all(same(one.batch(2), two.batch(2)) for _ in range(3))
    batch = pool().batch(2)
    assert not torch.equal(batch.frame1, pool(seed=1).batch(2).frame1)
    # A resumed pool goes on with the scenes that were not there yet.
    assert one.index == 1 and not set(keys(pool(index=1).batch(8))) & set(keys(pool().batch(8)))


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_symmetries_keep_flow_right(size):
    scenes = pool(size, seed=3, reuse=1000)
    variants = {}
    for _ in range(24):
        batch = scenes.batch(2)
        assert batch.frame1.shape == (2, 3, *size) and batch.valid.shape == (2, *size)
        assert 0 <= batch.frame1.min() and batch.frame1.max() <= 1
        seen = (batch.valid & batch.visible)[:, None].expand_as(batch.frame1)
        right = (warp(batch.frame2, batch.flow) - batch.frame1).abs()[seen]
        assert right.median() < 0.02
        for wrong in (batch.flow.flip(1), -batch.flow, batch.flow * torch.tensor([1, -1]).view(2, 1, 1)):
            assert right.mean() < 0.8 * (warp(batch.frame2, wrong) - batch.frame1).abs()[seen].mean()
        for key, flow in zip(keys(batch), batch.flow + 0.0):  # no -0
            variants.setdefault(key, set()).add(str(flow[:, :: size[0] - 1, :: size[1] - 1].tolist()))
    assert scenes.index == 1 and len(variants) == 8
    assert 2 < max(map(len, variants.values())) <= (8 if size[0] == size[1] else 4)


def test_a_scene_that_is_shown_once_does_not_come_back():
    scenes = pool()
    shown = [key for _ in range(6) for key in keys(scenes.batch(3))]
    assert len(set(shown)) == 18
    assert scenes.index == 3  # of 8 scenes each, not more than it takes


def test_reuse_shows_each_scene_about_so_often_but_never_twice_in_a_batch():
    scenes = pool(reuse=3, capacity=16)
    shown = [keys(scenes.batch(6)) for _ in range(32)]
    assert all(len(set(batch)) == 6 for batch in shown)
    counts = [sum(shown, []).count(key) for key in {key for batch in shown for key in batch}]
    assert 2 <= sum(counts) / len(counts) <= 4


def test_what_the_two_frames_do_not_share_is_not_visible():
    batch = pool((64, 64)).batch(8)
    assert batch.visible.dtype == batch.valid.dtype == torch.bool
    assert 0.3 < batch.visible.float().mean() < 1

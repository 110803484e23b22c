import pytest
import torch

from dinov3_flow.features import FeatureCache
from dinov3_flow.network import Backbone, BackboneConfig, normalise

TINY = BackboneConfig(dim=32, depth=1, heads=2, hidden=32, patch=8)


def made(seed=0):
    torch.manual_seed(seed)
    return Backbone(TINY).eval()


@pytest.fixture
def frames():
    return torch.rand(3, 3, 16, 24)


def refuse(*_):
    raise AssertionError("was computed, and not read")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_computed_is_read_from_disk(tmp_path, frames):
    backbone = made()
    with torch.no_grad():
        expected = backbone(normalise(frames))
    cache = FeatureCache(tmp_path / "new" / "folder", backbone)
    first = cache(frames)
    assert first.shape == (3, 32, 2, 3) and first.dtype == torch.float32 and not first.requires_grad
    torch.testing.assert_close(first, expected, atol=2e-3, rtol=1e-3)  # float16
    other = made()
    other.forward = refuse
    again = FeatureCache(tmp_path / "new" / "folder", other)
    assert torch.equal(again(frames), first)
    assert torch.equal(again(frames[[2, 0]]), first[[2, 0]])


def test_only_what_is_missing_is_computed(tmp_path, frames):
    backbone, computed = made(), []
    backbone.register_forward_hook(lambda _, inputs, __: computed.append(len(inputs[0])))
    cache = FeatureCache(tmp_path, backbone)
    cache(frames[:1])
    both = cache(frames)
    assert computed == [1, 2] and len(files(tmp_path)) == 3
    fresh = FeatureCache(tmp_path / "fresh", made())(frames)
    torch.testing.assert_close(both, fresh, atol=2e-3, rtol=1e-3)


def test_a_frame_that_differs_a_little_is_another(tmp_path, frames):
    cache = FeatureCache(tmp_path, made())
    cache(frames[:1])
    frames[0, 0, 0, 0] += 1e-3
    cache(frames[:1])
    cache(frames[:1].reshape(1, 3, 24, 16))
    assert len(files(tmp_path)) == 3


def test_another_backbone_does_not_share(tmp_path, frames):
    one = FeatureCache(tmp_path, made(0))(frames)
    two = FeatureCache(tmp_path, made(1))(frames)
    assert len(files(tmp_path)) == 6 and not torch.allclose(one, two, atol=0.1)

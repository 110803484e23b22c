"""A network from nothing describes patches by their surroundings and finds them again, whatever is in the frame."""

import math

import cv2
import pytest
import torch

from dinov3_flow.evaluation.pictures import leaves
from dinov3_flow.initialise import initialise, initialise_backbone
from dinov3_flow.initialise.backbone import CONSTANT, gathering
from dinov3_flow.network import (
    IMAGENET_STD,
    Backbone,
    BackboneConfig,
    FlowNetwork,
    HeadConfig,
    correlate,
    normalise,
    rotate,
)


def made(dim=96, depth=2, heads=2, patch=8, ffn="swiglu"):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(dim, depth, heads, hidden=64, patch=patch, ffn=ffn))
    initialise_backbone(backbone)
    return backbone


def attention_by_offset(backbone, block, tokens, grid, scale=1.0, reach=4):
    """Attention of patches (heads, n, 2 reach + 1, 2 reach + 1), by the offset (dy, dx) of the patch attended to."""
    heads = block.attn.heads
    qkv = block.attn.qkv(block.norm1(tokens)).view(grid * grid, 3, heads, -1)
    q, k, _ = qkv.permute(1, 2, 0, 3)
    rope = backbone.rope_embed(grid, grid, (scale, scale))
    places = torch.arange(reach, grid - reach, grid // 28)
    chosen = (places[:, None] * grid + places).flatten()
    q, k = rotate(q, *rope)[:, chosen], rotate(k, *rope)
    maps = (q @ k.transpose(1, 2) * q.shape[-1] ** -0.5).softmax(-1).view(heads, len(chosen), grid, grid)
    window = torch.arange(-reach, reach + 1)
    y, x = (chosen // grid)[:, None] + window, (chosen % grid)[:, None] + window
    return maps[:, torch.arange(len(chosen))[:, None, None], y[:, :, None], x[:, None, :]]


def peaks(maps):
    """Offsets (dy, dx) of the largest value, (..., 2)."""
    side = maps.shape[-1]
    top = maps.flatten(-2).argmax(-1)
    return torch.stack([top // side, top % side], -1) - side // 2


@torch.no_grad()
@pytest.mark.parametrize("dim,heads", [(96, 2), (128, 4), (128, 2), (64, 4)])
@pytest.mark.parametrize("grid,scale", [(56, 1.0), (28, 0.5)])
def test_every_head_attends_to_its_neighbour(dim, heads, grid, scale):
    backbone = made(dim, 2, heads)
    constants = torch.zeros(dim)
    constants[0], constants[1] = CONSTANT, -CONSTANT
    for block, offsets in zip(backbone.blocks, gathering(backbone)):
        blank = attention_by_offset(backbone, block, constants.expand(1, grid * grid, dim), grid, scale)
        content = constants + 0.3 * torch.randn(1, grid * grid, dim)
        content = attention_by_offset(backbone, block, content, grid, scale)
        for head, offset in enumerate(offsets):
            # Without content every patch has its peak there, with content they have it on average and close by.
            assert (peaks(blank[head]) == torch.tensor(offset)).all()
            assert blank[head].flatten(1).sum(1).min() > 0.99
            assert peaks(content[head].mean(0)).tolist() == list(offset)
            assert (peaks(content[head]) - torch.tensor(offset)).abs().max() <= 2


@pytest.mark.parametrize("dim,depth,heads,reached", [(128, 2, 2, 9), (128, 2, 4, 25), (96, 4, 2, 27), (64, 2, 4, 5),
                                                     (128, 2, 8, 25), (128, 2, 1, 4), (8, 2, 2, 1)])  # fmt: skip
def test_what_is_gathered_are_as_many_patches_and_none_of_them_twice(dim, depth, heads, reached):
    patches = {(0, 0)}
    for block in gathering(made(dim, depth, heads)):
        patches |= {(y + dy, x + dx) for y, x in patches for dy, dx in block}
    assert len(patches) == reached


def test_what_cannot_gather_stays_random():
    torch.manual_seed(0)
    plain = Backbone(BackboneConfig(8, 2, 2, hidden=64, patch=8))
    for one, other in zip(plain.parameters(), made(8, 2, 2).parameters()):
        assert torch.equal(one, other)


@torch.no_grad()
def test_the_colours_of_the_patches_around_lie_in_the_channels():
    """Before the mean is taken off, as far as the norms let through, and in the middle, where nothing is missing."""
    backbone = made(128, 2, 4)
    seen = []
    backbone.blocks[1].norm2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    frame = torch.nn.functional.interpolate(torch.rand(1, 3, 28, 28), (448, 448), mode="bilinear")
    backbone(normalise(frame))
    tokens = seen[0][0, 5:].unflatten(0, (56, 56))
    own = backbone.patch_embed(normalise(frame))[0].unflatten(0, (56, 56))[..., 2:5]
    first, second = gathering(backbone)
    places = [(y2 + y1, x2 + x1) for y2, x2 in [(0, 0), *second] for y1, x1 in [(0, 0), *first]]
    for slot, (dy, dx) in enumerate(places):
        expected = own[8 + dy : 48 + dy, 8 + dx : 48 + dx].flatten()
        got = tokens[8:48, 8:48, 2 + 3 * slot : 5 + 3 * slot].flatten()
        assert float(torch.corrcoef(torch.stack([expected, got]))[0, 1]) > 0.9, (dy, dx)


@torch.no_grad()
@pytest.mark.parametrize("ffn,heads,half", [("swiglu", 4, 0.9), ("swiglu", 2, 0.75), ("mlp", 4, 0.6)])
def test_features_match_half_a_patch_away(ffn, heads, half):
    """Of one patch's own pixels a fifth does."""
    backbone = made(128, 2, heads, ffn=ffn)
    picture = torch.from_numpy(leaves(5, 256, 320)).permute(2, 0, 1).float()[None]

    def matched(dx):
        frames = [picture[:, :, 32:224, left : left + 256] for left in (32, 32 - dx)]
        one, two = (torch.nn.functional.normalize(backbone(normalise(frame), (0.5, 0.5))) for frame in frames)
        best = correlate(one, two, 4)[0, :, 4:-4, 4:-4].argmax(0)
        y, x = best // 9 - 4, best % 9 - 4
        return float(((y.abs() < 1) & ((8 * x - dx).abs() < 8)).float().mean())

    assert matched(8) > 0.95
    assert matched(12) > half


@torch.no_grad()
def test_features_are_of_the_pattern_not_of_brightness_or_contrast():
    backbone = made(128, 2, 4)
    frame = torch.from_numpy(leaves(5, 192, 192)).permute(2, 0, 1).float()[None] * 0.4 + 0.3
    features = backbone(normalise(frame))
    for changed in (frame + 0.2, 0.5 * frame + 0.25):
        alike = torch.cosine_similarity(features, backbone(normalise(changed)))
        assert alike.median() > 0.8


def test_half_the_scale_is_the_middle_of_a_frame_twice_as_large():
    rope = made().rope_embed
    for small, large in zip(rope(8, 12, (0.5, 0.5)), rope(16, 24)):
        torch.testing.assert_close(small.view(8, 12, -1), large.view(16, 24, -1)[4:12, 6:18], atol=1e-5, rtol=0)
    for one, other in zip(rope(8, 12), rope(8, 12, (1, 1))):
        assert torch.equal(one, other)


@torch.no_grad()
@pytest.mark.parametrize("dim,patch", [(128, 8), (96, 8), (64, 16), (96, 4)])
def test_patches_are_constants_mean_colours_and_waves(dim, patch):
    backbone = made(dim, 2, 2, patch)
    weight = backbone.patch_embed.proj.weight / torch.tensor(IMAGENET_STD).view(3, 1, 1)  # on RGB as it is
    rows = weight.flatten(1)
    used = rows.norm(dim=1) > 0
    assert not used[:2].any() and used[2:5].all() and not used[5:29].any()
    assert backbone.patch_embed.proj.bias[:2].tolist() == [CONSTANT, -CONSTANT]
    assert float((weight[2:5] - weight[2:5].mean((2, 3), keepdim=True)).abs().max()) < 1e-6
    assert float(weight[29:].mean((2, 3)).abs().max()) < 1e-6
    rows = rows[used] / rows[used].norm(dim=1, keepdim=True)
    torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)
    assert len(rows) == 3 + min(dim - 29, 3 * (patch**2 - 1))


def test_waves_are_the_cosine_transform_of_luminance_first():
    backbone, patch = made(), 8
    frame = torch.rand(1, 3, patch, patch)
    with torch.no_grad():
        got = backbone.patch_embed(normalise(frame) - normalise(torch.zeros_like(frame)))[0, 0]
    spectrum = 0.5 * cv2.dct(frame[0].sum(0).numpy() / 3**0.5)
    order = [(0, 0), (0, 1), (1, 0), (1, 1)]
    expected = [(1 if v + u == 0 else 0.15 * (1 + math.hypot(v, u))) * float(spectrum[v, u]) for v, u in order]
    torch.testing.assert_close(got[[2, 29, 30, 31]], torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_all_of_it_is_trained():
    backbone = made()
    backbone(torch.randn(1, 3, 32, 32)).square().sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    for block in backbone.blocks:
        assert block.norm1.weight.grad[0] != 0 or block.norm1.bias.grad[0] != 0
        assert block.attn.qkv.weight.grad.abs().max() > 0
    assert backbone.patch_embed.proj.weight.grad.abs().max() > 0


def test_a_network_is_backbone_and_head():
    torch.manual_seed(0)
    network = FlowNetwork(BackboneConfig(32, 1, 2, hidden=32, patch=8), HeadConfig(8, 2, 16, 1, 8, 1))
    initialise(network)
    assert torch.equal(network.head.proj1.weight, network.head.proj2.weight)
    assert network.backbone.patch_embed.proj.bias[0] == CONSTANT

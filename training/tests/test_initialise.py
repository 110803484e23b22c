"""A network from nothing sees frequencies, neighbours and matches, whatever is in the frame."""

import math

import cv2
import pytest
import torch

from dinov3_flow.initialise import initialise, initialise_backbone
from dinov3_flow.initialise.backbone import NEIGHBOURS
from dinov3_flow.network import (
    IMAGENET_STD,
    Backbone,
    BackboneConfig,
    FlowNetwork,
    HeadConfig,
    normalise,
    rotate,
)


def made(dim=96, depth=3, heads=2, patch=8):
    torch.manual_seed(0)
    backbone = Backbone(BackboneConfig(dim, depth, heads, hidden=64, patch=patch))
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
@pytest.mark.parametrize("dim,heads", [(96, 2), (128, 2), (64, 4)])
@pytest.mark.parametrize("grid,scale", [(56, 1.0), (28, 0.5)])
def test_every_head_attends_to_its_neighbour(dim, heads, grid, scale):
    backbone = made(dim, 3, heads)
    seen = set()
    for index, block in enumerate(backbone.blocks):
        blank = attention_by_offset(backbone, block, torch.zeros(1, grid * grid, dim), grid, scale)
        content = attention_by_offset(backbone, block, torch.randn(1, grid * grid, dim), grid, scale)
        for head in range(heads):
            offset = NEIGHBOURS[(index * heads + head) % 4]
            seen.add(offset)
            expected = torch.tensor(offset)
            # Without content every patch has its peak there, with content they have it on average and close by.
            assert (peaks(blank[head]) == expected).all()
            assert blank[head].flatten(1).sum(1).min() > 0.99
            assert peaks(content[head].mean(0)).tolist() == list(offset)
            assert (peaks(content[head]) - expected).abs().max() <= 3
    assert seen == set(NEIGHBOURS)


def test_half_the_scale_is_the_middle_of_a_frame_twice_as_large():
    rope = made().rope_embed
    for small, large in zip(rope(8, 12, (0.5, 0.5)), rope(16, 24)):
        torch.testing.assert_close(small.view(8, 12, -1), large.view(16, 24, -1)[4:12, 6:18], atol=1e-5, rtol=0)
    for one, other in zip(rope(8, 12), rope(8, 12, (1, 1))):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dim,patch", [(128, 8), (96, 8), (64, 16)])
def test_rows_of_the_patch_embedding_are_orthogonal(dim, patch):
    weight = made(dim, 1, 2, patch).patch_embed.proj.weight.detach()
    rows = (weight / torch.tensor(IMAGENET_STD).view(3, 1, 1)).flatten(1)  # on RGB as it is
    rows = rows / rows.norm(dim=1, keepdim=True)
    torch.testing.assert_close(rows @ rows.T, torch.eye(dim), atol=1e-5, rtol=0)


def test_patch_embedding_is_the_cosine_transform_of_luminance_first():
    backbone, patch = made(), 8
    frame = torch.rand(1, 3, patch, patch)
    with torch.no_grad():
        got = backbone.patch_embed(normalise(frame) - normalise(torch.zeros_like(frame)))[0, 0]
    spectrum = cv2.dct(frame[0].sum(0).numpy() / 3**0.5)
    order = sorted((math.hypot(v, u), v, u) for v in range(patch) for u in range(patch))[:48]
    expected = torch.tensor([4 * (1 + f) * float(spectrum[v, u]) for f, v, u in order])
    torch.testing.assert_close(got[:48], expected, atol=1e-3, rtol=1e-4)


def test_a_patch_of_few_pixels_leaves_the_other_rows_as_they_were():
    torch.manual_seed(0)
    plain = Backbone(BackboneConfig(96, 1, 2, hidden=64, patch=4)).patch_embed.proj.weight
    weight = made(96, 1, 2, 4).patch_embed.proj.weight
    assert torch.isfinite(weight).all()
    assert torch.equal(weight[48:], plain[48:]) and not torch.equal(weight[:48], plain[:48])


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
    assert network.backbone.blocks[0].norm1.bias[0] == 1

"""An untrained head reads displacements off the correlations."""

import pytest
import torch
import torch.nn.functional as F

from dinov3_flow.initialise import initialise_head
from dinov3_flow.network import FlowHead, HeadConfig


def made_head(**config):
    torch.manual_seed(0)
    head = FlowHead(HeadConfig(**{"proj": 64, "radius": 4, "fusion": 128, "layers": 1, "up": 8, **config}), 48).eval()
    initialise_head(head)
    return head


@torch.no_grad()
@pytest.mark.parametrize("dy,dx", [(0, 0), (-1, 2), (3, -2), (-4, 4)])
def test_the_channel_of_a_displacement_hears_its_match_best(dy, dx):
    head = made_head()
    features = torch.randn(1, 48, 16, 16)
    heard = []
    head.fuse_in[0].register_forward_hook(lambda _, __, out: heard.append(out[0, :81]))
    head(features, features.roll((dy, dx), (2, 3)))
    # As many channels as displacements, so that each has its own.
    loudest = int(heard[0][:, 5:11, 5:11].mean((1, 2)).argmax())
    assert divmod(loudest, 9) == (dy + 4, dx + 4)


@torch.no_grad()
@pytest.mark.parametrize("radius,fusion,layers", [(8, 192, 2), (4, 320, 3), (4, 96, 1), (3, 40, 1)])
@pytest.mark.parametrize("dy,dx", [(0, 0), (1, -2), (-2, 1)])
@pytest.mark.parametrize("strength", [1.2, 1.4])
def test_an_untrained_head_reads_the_displacement(radius, fusion, layers, dy, dx, strength):
    """However well frames match."""
    head = made_head(radius=radius, fusion=fusion, layers=layers, refine=1)
    features = torch.randn(1, 48, 24, 24) * strength
    # In cells; to the whole window's reach where the window is small.
    dy, dx = (part * (radius - 1) // 2 for part in (dy, dx))
    read = head(features, features.roll((dy, dx), (2, 3)))
    inside = slice(radius + 2, 22 - radius)
    error = (read.coarse[0, :, inside, inside] - torch.tensor([dx, dy]).view(2, 1, 1)).norm(dim=0)
    assert error.mean() < 0.5
    assert torch.equal(read.refined, read.coarse)


@torch.no_grad()
def test_what_matches_nothing_does_not_move():
    head = made_head()
    coarse = head(torch.randn(1, 48, 24, 24), torch.randn(1, 48, 24, 24)).coarse
    assert coarse.norm(dim=1).mean() < 1


@torch.no_grad()
@pytest.mark.parametrize("up", [8, 16])
def test_an_untrained_upsampler_interpolates_bilinearly(up):
    upsampler = made_head(up=up).convex_upsampler
    x, y = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="xy")
    flow = torch.stack([x, 2 * y - x])[None]
    fine = upsampler(torch.randn(1, 128, 12, 12), flow)
    expected = F.interpolate(up * flow, scale_factor=up, mode="bilinear")
    inside = slice(2 * up, -2 * up)
    assert (fine - expected)[..., inside, inside].abs().mean() < 0.15 * up


@torch.no_grad()
@pytest.mark.parametrize(
    "config",
    [
        HeadConfig(),
        HeadConfig(proj=8, radius=8, fusion=16, layers=1, refine=0),
        HeadConfig(proj=8, radius=1, fusion=4, layers=1),
        HeadConfig(proj=8, radius=2, fusion=16, layers=0),
    ],
)
def test_every_size_of_head_starts_finite(config):
    head = FlowHead(config, 32)
    initialise_head(head)
    assert torch.isfinite(head(torch.randn(2, 32, 8, 8), torch.randn(2, 32, 8, 8)).flow).all()


def test_the_whole_head_is_trained():
    head = made_head(refine=1)
    head.refine[-1].weight.data.normal_(0, 0.1)  # Which starts with 0, and so do the gradients before it.
    features = torch.randn(1, 48, 16, 16)
    prediction = head(features, features.roll((1, 2), (2, 3)))
    (prediction.flow.square().mean() + prediction.coarse.mean()).backward()
    for name, parameter in head.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().max() > 0, name

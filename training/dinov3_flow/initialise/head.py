"""A head that reads displacements off the correlations before it has learned anything.

Each channel of its first layer has a displacement of its own: it hears the correlations there, less those further
around, averaged over neighbouring cells, and its activation lets through what a match gives. The next two layers find
the median of these displacements: for every edge on x and on y on which side of it more is heard, and then how many
edges are below. The median does not depend on how far above the threshold matches are, nor much on a few false ones.
From there x and y are passed on as two channels each, since SiLU(x) - SiLU(-x) = x. Random channels beside them are
there to learn the rest.

Behind the correlations batch normalisations are as PyTorch makes them, which is to do nothing. Training should leave
their statistics so (`statistics = "fixed"`), or the reader is another one.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import MATCH
from ..network import ConvexUpsampler, DsConv, FlowHead, SqueezeExcite

OPEN = 2.0
"""What the gates of squeeze-and-excitation start with, before the sigmoid."""
_GATE = 1 / (1 + math.exp(-OPEN))

SLOPE, THRESHOLD = 40.0, 0.06
"""A bump's channel is SiLU(SLOPE (bump - THRESHOLD)), where a bump is 1 for what `contrast` asks of a match.

A backbone that has learned gives 0.2, and 0.03 where there is none."""
GAIN, SHARPNESS = 5.0, 4.0
"""A step at an edge goes from 0 to 1 while GAIN times what is above less what is below goes from -0.5 to 0.5, and
SHARPNESS is how well two SiLUs make a step of corners."""


@torch.no_grad()
def initialise_head(head: FlowHead) -> None:
    """Sets what reads the displacement off the correlations, and the scale of all that is random beside it.

    A head without a trunk, or with fewer than 8 channels, is random only.
    """
    # So large that a match is above the threshold of the bumps.
    nn.init.orthogonal_(head.proj1.weight, 1.5 * max(1, head.config.proj / head.proj1.in_channels) ** 0.5)
    head.proj2.load_state_dict(head.proj1.state_dict())
    for module in head.modules():
        if isinstance(module, DsConv):
            _keep_scale(module)
        elif isinstance(module, SqueezeExcite):
            module.fc2.weight *= 0.1
            module.fc2.bias.fill_(OPEN)
    if head.config.layers > 0 and head.config.fusion >= 8 and head.config.radius > 0:
        bumps = _bumps(head.fuse_in[0], head.config.radius, MATCH * (head.config.proj / 256) ** 0.5)
        units = [*head.fuse_trunk.net, head.flow_head[0]]
        _median(units[0], units[2], bumps, head.config.radius)
        for before, unit in zip(units[2:], units[3:]):
            if isinstance(unit, DsConv):
                _pass_on(unit, _GATE if isinstance(before, SqueezeExcite) else 1)
        head.flow_head[1].weight *= 0.1
        head.flow_head[1].weight[:, :4, 0, 0] = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1]])
        head.flow_head[1].bias.zero_()
    if head.config.refine > 0:
        nn.init.zeros_(head.refine[-1].weight)
        nn.init.zeros_(head.refine[-1].bias)
    _bilinear(head.convex_upsampler)


def _keep_scale(conv: DsConv) -> None:
    """Random weights whose outputs are about as large as their inputs."""
    conv.dw.weight *= 0.3
    conv.dw.weight[:, 0, 1, 1] += 1
    nn.init.normal_(conv.pw.weight, std=1.5 * conv.pw.in_channels**-0.5)


def _bumps(first: DsConv, radius: int, match: float) -> Tensor:
    """Gives the first layer's channels a displacement each, and returns them, (n, 2), y and x in cells.

    `match` is a good match's correlation.
    """
    fusion, shifts = first.pw.out_channels, (2 * radius + 1) ** 2
    side = min(2 * radius + 1, int((0.9 * fusion) ** 0.5))
    line = torch.linspace(-radius, radius, side)
    centres = torch.cartesian_prod(line, line)
    window = torch.arange(-radius, radius + 1, dtype=torch.float32)
    offsets = torch.cartesian_prod(window, window)
    squared = (centres[:, None] - offsets).square().sum(2)
    spread = max(0.6, 0.56 * float(line[1] - line[0]))

    def gaussian(spread: float) -> Tensor:
        return torch.exp(-squared / (2 * spread**2))

    inner, outer = gaussian(spread), gaussian(2 * spread)
    inner = inner / inner.square().sum(1, keepdim=True)
    outer = outer * (inner.sum(1) / outer.sum(1))[:, None]
    # Votes of the neighbours: the correlations of a moving surface are alike, their noise is not.
    first.dw.weight[-shifts:] = 1 / 9
    first.pw.weight[: len(centres)] *= 0.02
    first.pw.weight[: len(centres), -shifts:, 0, 0] = (inner - outer) * (SLOPE / match)
    first.bn.bias[: len(centres)] = -SLOPE * THRESHOLD
    return centres


def _median(one: DsConv, two: DsConv, bumps: Tensor, radius: int) -> None:
    """Sets two layers to the median of the bumps along x and along y: channels 0 to 3 are x, -x, y, -y, in cells."""
    count = max(1, min(2 * radius, one.pw.out_channels // 8))
    step = 2 * radius / count
    edges = torch.arange(count) * step - radius + step / 2
    silence = F.silu(torch.tensor(-SLOPE * THRESHOLD)) * _GATE
    gain = GAIN * SHARPNESS / SLOPE / _GATE
    one.dw.weight[: len(bumps)] = 1 / 9
    two.pw.weight[:4] = 0
    for axis, place in enumerate((bumps[:, 1], bumps[:, 0])):
        # Of every edge how much more there is above it than below it, and where that changes sign a step from 0 to 1.
        sides = gain * ((place - edges[:, None]) / step).clamp(-1, 1)
        for half, sign in enumerate((1, -1)):
            rows = slice((2 * axis + half) * count, (2 * axis + half + 1) * count)
            one.pw.weight[rows] = 0
            one.pw.weight[rows, : len(bumps), 0, 0] = sides
            one.bn.bias[rows] = sign * SHARPNESS / 2 - silence * sides.sum(1)
            two.dw.weight[rows] = 0
            two.dw.weight[rows, 0, 1, 1] = 1
            for channel, direction in ((2 * axis, 1), (2 * axis + 1, -1)):
                two.pw.weight[channel, rows, 0, 0] = direction * sign * step / SHARPNESS / _GATE
                two.bn.bias[channel] = -direction * radius


def _pass_on(unit: DsConv, gate: float) -> None:
    """Leaves channels 0 to 3 as they are: SiLU(x) - SiLU(-x) is x."""
    unit.dw.weight[:4] = 0
    unit.dw.weight[:4, 0, 1, 1] = 1
    unit.pw.weight[:4] = 0
    for plus, minus in ((0, 1), (2, 3)):
        for channel, direction in ((plus, 1), (minus, -1)):
            unit.pw.weight[channel, plus, 0, 0] = direction / gate
            unit.pw.weight[channel, minus, 0, 0] = -direction / gate


def _bilinear(upsampler: ConvexUpsampler) -> None:
    """Starts with the weights of bilinear interpolation, whatever the frame."""
    up, last = upsampler.up, upsampler.mask_head[-1]
    place = (torch.arange(up) + 0.5) / up - 0.5
    weights = (1 - (place - torch.arange(-1, 2)[:, None]).abs()).clamp(min=0.02)
    last.weight *= 0.1
    last.bias.copy_((weights[:, None, :, None] * weights[None, :, None, :]).log().flatten())

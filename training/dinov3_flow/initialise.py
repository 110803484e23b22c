"""A start for networks that are trained from nothing: they see frequencies, neighbours and matches from the first step.

A vision transformer learns from data what a convolution has by construction, that what is near belongs together. Hours
of a CPU are not enough for that, so it is given: the patch embedding starts as a cosine transform, and every head
starts by attending to one neighbour, whatever the content (the idea of ConViT's gated positional attention, d'Ascoli
et al., 2021, in terms of rotary embeddings).

The head's difficulty is its first layer: of hundreds of correlations one is the match, and a linear layer sums the
noise of all the others with it. So a channel starts with the correlations around one displacement, averaged over the
neighbouring cells, of which the activation then lets only the high ones through; what follows starts as the identity.

All of it stays trainable.
"""

import math

import torch
from torch import Tensor

from .network import IMAGENET_STD, Attention, Backbone, DsConv, FlowHead, FlowNetwork, PatchEmbed

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Offsets (dy, dx), in patches, of the neighbours that the heads begin with."""

# Luminance and two differences of colour, orthonormal.
_OPPONENT = torch.tensor([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / torch.tensor([[3.0], [2.0], [6.0]]).sqrt()


def initialise(network: FlowNetwork) -> None:
    """Sets what is said above; the rest of the network stays as it was made."""
    initialise_backbone(network.backbone)
    initialise_head(network.head)


@torch.no_grad()
def initialise_backbone(backbone: Backbone, grid: int = 56, sharpness: float = 80.0) -> None:
    """Sets the patch embedding and the attention of every block.

    `grid` is the side, in patches, at which a neighbour is one patch away; `sharpness` is how far its score is above
    that of a patch at right angles to it, 1 / (angle^2 sharpness) its variance in patches.
    """
    _cosine_transform(backbone.patch_embed)
    for index, block in enumerate(backbone.blocks):
        # A normalised channel is about 0 on average, so a constant for the keys takes one channel of its own.
        block.norm1.weight[0], block.norm1.bias[0] = 0, 1
        _attend_to_neighbours(block.attn, index * block.attn.heads, grid, sharpness)


def _cosine_transform(embed: PatchEmbed) -> None:
    """The lowest frequencies of a patch, half of them of its luminance, each amplified by its frequency.

    Pictures have less of a frequency the higher it is, about as 1 / f: amplified, all are heard alike.
    """
    dim, _, patch, _ = embed.proj.weight.shape
    k, x = torch.meshgrid(torch.arange(patch), torch.arange(patch), indexing="ij")
    basis = torch.cos(math.pi * (x + 0.5) * k / patch) * (2 / patch) ** 0.5
    basis[0] *= 0.5**0.5
    order = sorted((math.hypot(v, u), v, u) for v in range(patch) for u in range(patch))
    counts = (dim - dim // 2, dim // 4, dim // 2 - dim // 4)
    row = 0
    for colour, count in zip(_OPPONENT, counts):
        for frequency, v, u in order[: min(count, len(order))]:
            wave = torch.outer(basis[v], basis[u]) * (1 + frequency)
            embed.proj.weight[row] = colour[:, None, None] * torch.tensor(IMAGENET_STD)[:, None, None] * 4 * wave
            row += 1
    embed.proj.bias.zero_()


def _attend_to_neighbours(attention: Attention, first: int, grid: int, sharpness: float) -> None:
    """Head n attends to neighbour `first` + n: constants in queries and keys, turned against each other by the offset.

    The rotary embedding turns both by their places, so that their product is a sum of cosines of the distance to the
    offset: a bump that falls off like a Gaussian.
    """
    dim = attention.proj.in_features
    head_dim = dim // attention.heads
    quarter = head_dim // 4
    periods = 100 ** (2 * torch.arange(quarter) / (head_dim / 2))
    # The shortest period alone would repeat twice across the frame; the next ones tell its repetitions apart.
    shares = torch.zeros(quarter)
    shares[:3] = torch.tensor([0.5, 0.3, 0.2])[: quarter]
    amplitude = (shares * sharpness * head_dim**0.5).sqrt()
    step = 2 * math.pi / periods * (2 / grid)
    weight = attention.qkv.weight.view(3, attention.heads, head_dim, dim)
    bias = attention.qkv.bias.view(3, attention.heads, head_dim)
    # What the content adds to the scores starts small, so that it does not drown the places.
    weight[:2] *= 0.5
    for head in range(attention.heads):
        dy, dx = NEIGHBOURS[(first + head) % len(NEIGHBOURS)]
        angle = torch.cat([dy * step, dx * step])
        twice: Tensor = amplitude.repeat(2)
        # Pairs are (i, i + head_dim / 2): first y, then x. A query at 0 looks for a key that was turned by the offset.
        bias[0, head] = torch.cat([twice * angle.cos(), twice * angle.sin()])
        weight[1, head, :, 0] = torch.cat([twice, torch.zeros_like(twice)])


@torch.no_grad()
def initialise_head(head: FlowHead) -> None:
    """Sets the projections, which start alike, and the convolutions with three by three taps and with one."""
    torch.nn.init.orthogonal_(head.proj1.weight)
    head.proj2.load_state_dict(head.proj1.state_dict())
    first, radius = head.fuse_in[0], head.config.radius
    shifts = (2 * radius + 1) ** 2
    # Votes of the neighbours: the correlations of a moving surface are alike, their noise is not.
    first.dw.weight[-shifts:] = 1 / 9
    centres = _displacements(radius, 3 * head.config.fusion // 4)
    y, x = torch.meshgrid(*[torch.arange(-radius, radius + 1, dtype=torch.float32)] * 2, indexing="ij")
    for channel, (dy, dx, spread) in enumerate(centres):
        bump = torch.exp(-((y - dy) ** 2 + (x - dx) ** 2) / (2 * spread**2))
        bump = bump / bump.norm() - bump.mean() / bump.norm()
        first.pw.weight[channel, :, 0, 0] *= 0.1
        first.pw.weight[channel, -shifts:, 0, 0] = bump.flatten()
    for module in head.modules():
        if isinstance(module, DsConv) and module is not first:
            _nearly_identity(module)


def _displacements(radius: int, count: int) -> list[tuple[float, float, float]]:
    """At most `count` displacements (dy, dx), in cells, and how far their bumps spread: dense in the middle."""
    places = [(float(y), float(x)) for y in range(-radius, radius + 1) for x in range(-radius, radius + 1)]
    places.sort(key=lambda place: math.hypot(*place))
    fits = (
        n for n in range(radius, -1, -1) if (2 * n + 1) ** 2 + ((2 * radius + 1) ** 2 - (2 * n + 1) ** 2) / 4 <= count
    )
    dense = next(fits, 0)
    chosen = [(y, x, 0.6) for y, x in places if max(abs(y), abs(x)) <= dense]
    sparse = [(y, x, 1.2) for y, x in places if max(abs(y), abs(x)) > dense and y % 2 == 0 and x % 2 == 0]
    return (chosen + sparse)[:count]


def _nearly_identity(conv: DsConv) -> None:
    """Adds to random weights, made smaller, those that leave the channels as they are."""
    conv.dw.weight *= 0.3
    conv.dw.weight[:, 0, 1, 1] += 1
    conv.pw.weight *= 0.5
    out, channels = conv.pw.weight.shape[:2]
    diagonal = torch.arange(min(out, channels))
    conv.pw.weight[diagonal, diagonal, 0, 0] += 1

"""A vision transformer that sees frequencies and neighbours before it has learned anything.

It learns from data what a convolution has by construction, that what is near belongs together. Hours of a CPU are not
enough for that, so it is given: the patch embedding starts as a cosine transform, and every head starts by attending to
one neighbour, whatever the content (the idea of ConViT's gated positional attention, d'Ascoli et al., 2021, in terms of
rotary embeddings).
"""

import math

import torch
from torch import Tensor

from ..network import IMAGENET_STD, Attention, Backbone, PatchEmbed

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Offsets (dy, dx), in patches, of the neighbours that the heads begin with."""

# Luminance and two differences of colour, orthonormal.
_OPPONENT = torch.tensor([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / torch.tensor([[3.0], [2.0], [6.0]]).sqrt()


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

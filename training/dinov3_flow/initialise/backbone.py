"""A vision transformer that describes every patch by what lies around it, before it has learned anything.

A picture that moves by half a patch shows other pixels in every patch: what describes a patch by its own pixels matches
then in a third of all places. The mean colours of the patches around it change slowly, and match in most. So every head
starts by attending to one neighbour, whatever the content (the idea of ConViT's gated positional attention, d'Ascoli et
al., 2021, in terms of rotary embeddings), and hands on what that one has gathered: 4 heads and 2 blocks gather 25
patches. The last of these blocks takes off the mean of what was gathered, so that the final norm leaves its pattern,
whatever the brightness and the contrast.

Two channels are large constants of opposite signs. They make all tokens' deviations alike, so that layer norms hardly
do more than scale, and they are what keys are made of. The tokens that are no patches have them with the other signs:
nobody attends to those.
"""

import math

import torch
from torch import Tensor, nn

from ..network import IMAGENET_STD, Attention, Backbone, PatchEmbed, SwiGlu

CONSTANT = 20.0
COLOURS = 3
FIRST = 2
"""Channels 0 and 1 are the constants; then come the colours of the patch, of the first neighbour, and so on."""
DETAIL = 0.15
"""A cosine of frequency f, in half periods a patch, is DETAIL (1 + f) as loud as the mean colour."""

# Luminance and two differences of colour, orthonormal, and how loud they are.
_OPPONENT = torch.tensor([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / torch.tensor([[3.0], [2.0], [6.0]]).sqrt()
_LOUDNESS = (0.5, 1.0, 1.0)


def gathering(backbone: Backbone) -> list[list[tuple[int, int]]]:
    """Of every block that gathers the offsets (dy, dx), in patches, that its heads attend to.

    Together they reach a compact set of patches, each once: with 4 heads as the digits 0, 1, i, -1 and -i do to the
    base 2 + i, otherwise, along x and y in turns, as the digits -1, 0 and 1 do to the base 3.
    """
    config, offsets = backbone.config, []
    head_dim, count = config.dim // config.heads, 1
    for index in range(config.depth):
        if config.heads >= 4:
            unit = (2 + 1j) ** index
            block = [(int(z.imag), int(z.real)) for z in (unit, -unit, 1j * unit, -1j * unit)]
        else:
            step = 3 ** (index // 2)
            block = [(sign * step * (index % 2), sign * step * (1 - index % 2)) for sign in (1, -1)][: config.heads]
        more = count * (len(block) + 1)
        if COLOURS * count > head_dim or FIRST + COLOURS * more > config.dim:
            break
        offsets.append(block)
        count = more
    return offsets


@torch.no_grad()
def initialise_backbone(backbone: Backbone, grid: int = 56, sharpness: float = 80.0) -> None:
    """Sets the patch embedding, and attention and MLP of the blocks that gather; the others stay random, and all of a
    backbone that is too narrow to gather anything.

    `grid` is the side, in patches, at which a neighbour is one patch away; `sharpness` is how far its score is above
    that of a patch at right angles to it, 1 / (angle^2 sharpness) its variance in patches.
    """
    offsets = gathering(backbone)
    if not offsets:
        return
    count = math.prod(len(block) + 1 for block in offsets)
    _embed(backbone.patch_embed, count)
    for token in (backbone.cls_token, backbone.storage_tokens):
        token.zero_()
        token[..., 0], token[..., 1] = -CONSTANT, CONSTANT
    gathered = 1
    for block, neighbours in zip(backbone.blocks, offsets):
        block.ls1.gamma.fill_(1)
        block.ls2.gamma.fill_(1)
        _gather(block.attn, neighbours, gathered, grid, sharpness)
        gathered *= len(neighbours) + 1
        last = _last(block.mlp)
        for layer in block.mlp.children():
            if layer is not last:
                layer.weight[:, :FIRST] = 0
        last.weight *= 0.1
        last.weight[:FIRST] = 0
    _take_off_mean(backbone.blocks[len(offsets) - 1].mlp, count, backbone.config.dim)


def _embed(embed: PatchEmbed, count: int) -> None:
    """The constants, the mean colour and, in the channels that nobody else needs, the cosines of low frequencies."""
    dim, _, patch, _ = embed.proj.weight.shape
    k, x = torch.meshgrid(torch.arange(patch), torch.arange(patch), indexing="ij")
    basis = torch.cos(math.pi * (x + 0.5) * k / patch) * (2 / patch) ** 0.5
    basis[0] *= 0.5**0.5

    def wave(colour: int, v: int, u: int) -> Tensor:
        pixels = _LOUDNESS[colour] * torch.outer(basis[v], basis[u])
        return (_OPPONENT[colour] * torch.tensor(IMAGENET_STD))[:, None, None] * pixels

    embed.proj.weight.zero_()
    embed.proj.bias.zero_()
    embed.proj.bias[0], embed.proj.bias[1] = CONSTANT, -CONSTANT
    for colour in range(COLOURS):
        embed.proj.weight[FIRST + colour] = wave(colour, 0, 0)
    # Luminance to twice the frequency of colour.
    cosines = [(math.hypot(v, u), c, v, u) for c in range(COLOURS) for v in range(patch) for u in range(patch) if v + u]
    cosines.sort(key=lambda cosine: cosine[0] * (1 if cosine[1] == 0 else 2))
    for row, (frequency, colour, v, u) in zip(range(FIRST + COLOURS * count, dim), cosines):
        embed.proj.weight[row] = DETAIL * (1 + frequency) * wave(colour, v, u)


def _gather(attention: Attention, offsets: list[tuple[int, int]], count: int, grid: int, sharpness: float) -> None:
    """Head n attends to neighbour n and hands on its `count` colours: constants in queries and keys, turned against
    each other by the offset.

    The rotary embedding turns both by their places, so that their product is a sum of cosines of the distance to the
    offset: a bump that falls off like a Gaussian.
    """
    dim = attention.proj.in_features
    head_dim = dim // attention.heads
    quarter = head_dim // 4
    periods = 100 ** (2 * torch.arange(quarter) / (head_dim / 2))
    # The shortest period alone would repeat twice across the frame; the next ones tell its repetitions apart.
    shares = torch.zeros(quarter)
    shares[:3] = torch.tensor([0.5, 0.3, 0.2])[:quarter]
    twice = (shares * sharpness * head_dim**0.5).sqrt().repeat(2)
    step = 2 * math.pi / periods * (2 / grid)
    weight = attention.qkv.weight.view(3, attention.heads, head_dim, dim)
    bias = attention.qkv.bias.view(3, attention.heads, head_dim)
    # What the content adds to the scores starts small, so that it does not drown the places.
    weight[:2] *= 0.1
    attention.proj.weight *= 0.1
    # Nothing but keys hears the constants, and nothing changes them.
    weight[..., :FIRST] = 0
    attention.proj.weight[:FIRST] = 0
    values = COLOURS * count
    for head, (dy, dx) in enumerate(offsets):
        # Pairs are (i, i + head_dim / 2): first y, then x. A query at 0 looks for a key that was turned by the offset.
        angle = torch.cat([dy * step, dx * step])
        bias[0, head] = torch.cat([twice * angle.cos(), twice * angle.sin()])
        weight[1, head, :, 0] = torch.cat([twice, torch.zeros_like(twice)]) / _normalised(dim)
        weight[2, head, :values] = 0
        weight[2, head, :values, FIRST : FIRST + values] = torch.eye(values) * CONSTANT / _normalised(dim)
        target = FIRST + values * (1 + head)
        attention.proj.weight[target : target + values] = 0
        attention.proj.weight[target : target + values, head * head_dim : head * head_dim + values] = torch.eye(values)


def _normalised(dim: int) -> float:
    """What a layer norm makes of the constants."""
    return (dim / 2) ** 0.5


def _last(mlp: nn.Module) -> nn.Linear:
    return mlp.w3 if isinstance(mlp, SwiGlu) else mlp.fc2


def _take_off_mean(mlp: nn.Module, count: int, dim: int) -> None:
    """Takes the constants off, and in a SwiGLU off the patches that were gathered the mean of each colour."""
    last = _last(mlp)
    last.bias[0], last.bias[1] = -CONSTANT, CONSTANT
    if not isinstance(mlp, SwiGlu) or mlp.w3.in_features < COLOURS:
        return
    gathered = COLOURS * count
    mlp.w1.weight[:COLOURS], mlp.w2.weight[:COLOURS], mlp.w2.bias[:COLOURS] = 0, 0, 0
    mlp.w1.bias[:COLOURS] = 1  # gates that are open, whatever the content
    gate = float(torch.nn.functional.silu(torch.ones(())))
    for colour in range(COLOURS):
        channels = FIRST + colour + COLOURS * torch.arange(count)
        # The norm has taken the mean of all channels off each of them; this returns it.
        mlp.w2.weight[colour, FIRST : FIRST + gathered] = CONSTANT / _normalised(dim) / (dim - gathered)
        mlp.w2.weight[colour, channels] += CONSTANT / _normalised(dim) / count
        mlp.w3.weight[:, colour] = 0
        mlp.w3.weight[channels, colour] = -1 / gate

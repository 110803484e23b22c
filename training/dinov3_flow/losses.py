"""What training minimises: the original's loss, and three terms that teach a network from nothing sooner."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .metrics import MAX_FLOW, known, masked_l1
from .network import FlowPrediction


@dataclass(frozen=True)
class LossWeights:
    """Shares of the terms; the original has only the first."""

    flow: float = 1.0
    coarse: float = 0.0
    matching: float = 0.0
    contrast: float = 0.0
    hidden: float = 1.0
    """What a pixel counts in the first two terms that frame 2 does not show: its motion can only be guessed."""


def coarse_target(flow: Tensor, mask: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """Flow (B, 2, H, W) px where mask (B, H, W), as means over cells, in cells, and where there is one.

    Returns (B, 2, h, w) and bool (B, h, w): cells known to at least a half.
    """
    share = F.avg_pool2d(mask[:, None].float(), cell)
    mean = F.avg_pool2d(flow.masked_fill(~mask[:, None], 0), cell) / share.clamp(min=1e-6)
    return mean / cell, share[:, 0] >= 0.5


# What a match correlates with in `contrast`: about what normalised features of 256 channels give.
MATCH = 32.0


def matching_losses(
    correlation: Tensor, target: Tensor, mask: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    """How far the correlations are from the true displacement: as logarithms, and as they are.

    The first is the cross entropy of softmax(temperature * correlation) over displacements: the true one is the
    highest. The second is the squared distance of correlation / `MATCH`, summed over displacements: the others are
    near 0. The head begins with a linear layer, which sums over what is not the match, and can only read the latter.

    correlation (B, (2r+1)^2, h, w); target (B, 2, h, w) in cells, which lies between four displacements and is shared
    out among them bilinearly. Cells count where mask (B, h, w), and the target is inside the window and the frame.
    """
    height, width = correlation.shape[2:]
    side = round(correlation.shape[1] ** 0.5)
    radius = side // 2
    y = torch.arange(height, device=target.device)[:, None] + target[:, 1]
    x = torch.arange(width, device=target.device) + target[:, 0]
    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    mask = mask & inside & (target.abs().amax(1) < radius)
    correlation = correlation.float()
    total = torch.logsumexp(temperature * correlation, 1)
    low = target.floor().clamp(-radius, radius - 1)
    part = target - low
    shares = torch.zeros_like(correlation)
    for step_y in (0, 1):
        for step_x in (0, 1):
            share = (part[:, 0] if step_x else 1 - part[:, 0]) * (part[:, 1] if step_y else 1 - part[:, 1])
            index = (low[:, 1] + step_y + radius) * side + low[:, 0] + step_x + radius
            shares.scatter_(1, index.long()[:, None], share[:, None])

    def mean(error: Tensor) -> Tensor:
        return error.masked_fill(~mask, 0).sum() / mask.sum().clamp(min=1)

    # The shares add up to 1.
    entropy = total - temperature * (shares * correlation).sum(1)
    return mean(entropy), mean((correlation / MATCH - shares).square().sum(1))


def training_loss(
    prediction: FlowPrediction,
    flow: Tensor,
    valid: Tensor,
    visible: Tensor,
    weights: LossWeights,
    temperature: Tensor,
    max_flow: float = MAX_FLOW,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Their weighted sum, and each of them by name.

    flow (B, 2, H, W) px; valid, and visible in both frames, bool (B, H, W).
    """

    def error(guess: Tensor, target: Tensor, seen: Tensor, hidden: Tensor) -> Tensor:
        shown = masked_l1(guess.float(), target, seen, max_flow)
        return shown + weights.hidden * masked_l1(guess.float(), target, hidden, max_flow) if weights.hidden else shown

    mask = known(flow, valid, max_flow)
    terms = {"flow": error(prediction.flow, flow, mask & visible, mask & ~visible)}
    if weights.coarse or weights.matching or weights.contrast:
        cell = flow.shape[3] // prediction.coarse.shape[3]
        seen_target, seen = coarse_target(flow, mask & visible, cell)
        target, there = coarse_target(flow, mask, cell)
    if weights.coarse:
        # In pixels, as the first term.
        terms["coarse"] = sum(
            error(cell * guess, cell * target, seen, there & ~seen) for guess in (prediction.coarse, prediction.refined)
        )
    if weights.matching or weights.contrast:
        terms["matching"], terms["contrast"] = matching_losses(
            prediction.correlation, seen_target, seen, temperature
        )
    return sum(getattr(weights, name) * term for name, term in terms.items()), terms

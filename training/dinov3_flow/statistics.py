"""Batch normalisation by running statistics, in training too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .network import FlowHead


class RunningStatistics:
    """Makes a head's batch normalisations use the same statistics while it trains as later.

    The statistics of a batch hide what flow is made of. Where a whole crop moves alike, the channels that say so are
    constant over much of the batch, and the batch's mean takes away just that; then training and inference disagree,
    and the head learns to ignore what it sees.

    Those of the projections are running means over the batches: they keep the correlations' scale. All others stay as
    they begin, a gain and an offset each. A channel that seldom speaks, for a large displacement say, has so small a
    variance that dividing by its root makes a shout of the next word, louder with every layer.
    """

    def __init__(self, head: FlowHead, momentum: float = 0.01) -> None:
        self.head, self.momentum = head, momentum
        for layer in (head.bn1, head.bn2):
            layer.register_forward_pre_hook(self._update)

    def keep(self) -> None:
        """To be called when the head has been put into training: its normalisations stay in inference."""
        for module in self.head.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    @torch.no_grad()
    def _update(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        if not self.head.training:
            return
        layer.num_batches_tracked += 1
        # The first batches count in full: their mean is better than what a new layer holds.
        rate = max(self.momentum, 1 / float(layer.num_batches_tracked))
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3))
        layer.running_mean.lerp_(mean, rate)
        layer.running_var.lerp_(variance, rate)

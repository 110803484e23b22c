"""Batch normalisation by running statistics, in training too."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningStatistics:
    """Makes a network's batch normalisations use their running statistics while it trains, and keeps those up to date.

    The statistics of a batch hide what flow is made of. Where a whole crop moves alike, the channels that say so are
    constant over much of the batch, and the batch's mean takes away just that; then training and inference disagree,
    and the head learns to ignore what it sees. Running statistics are of many scenes.

    A channel that seldom speaks, for a large displacement say, has so small a variance that dividing by its root would
    make a shout of the next word, louder with every layer. So no variance counts as less than a share of the layer's
    median, in inference too, since what is kept is what both use.
    """

    SHARE = 0.25

    def __init__(self, network: nn.Module, momentum: float = 0.01) -> None:
        self.network, self.momentum = network, momentum
        self.layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for layer in self.layers:
            layer.register_forward_pre_hook(self._update)

    def train(self) -> None:
        """Puts the network into training, but its normalisations into inference."""
        self.network.train()
        for layer in self.layers:
            layer.eval()

    @torch.no_grad()
    def _update(self, layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        if not self.network.training:
            return
        layer.num_batches_tracked += 1
        # The first batches count in full: their mean is better than what a new layer holds.
        rate = max(self.momentum, 1 / float(layer.num_batches_tracked))
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3))
        variance = variance.maximum(self.SHARE * variance.median())
        layer.running_mean.lerp_(mean, rate)
        layer.running_var.lerp_(variance, rate)

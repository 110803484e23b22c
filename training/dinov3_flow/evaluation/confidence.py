"""How well a confidence tells where a flow is right."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 10
"""Of confidence, equally wide, in the calibration error."""
RIGHT = 1.0
"""An end-point error below this, px, is what a confidence is the probability of."""


def _area_over_oracle(errors: Tensor, order: Tensor) -> Tensor:
    """The area between the sparsification curve by an order and the oracle's, both times the number of pixels.

    A curve is the mean error of what is left once a share of the pixels is removed, over that share. An order has the
    pixels that stay longest first; pixels that it ranks equal are removed at random.
    """
    ranks, place, count = torch.unique(-order, return_inverse=True, return_counts=True)
    # At random, every pixel of a group is expected to have the group's mean error.
    mean = torch.zeros(len(ranks), dtype=errors.dtype).index_add_(0, place, errors) / count
    kept = torch.arange(1, len(errors) + 1, dtype=errors.dtype)
    by_order, oracle = mean.repeat_interleave(count), errors.sort().values
    return ((by_order.cumsum(0) - oracle.cumsum(0)) / kept).sum()


class Confidence:
    """Sums over pairs, of confidence (H, W) in 0..1 and end-point error (H, W), px."""

    def __init__(self) -> None:
        self.area, self.random_area = 0.0, 0.0
        self.bins = torch.zeros(3, BINS, dtype=torch.float64)  # pixels, their confidence, how many are right

    def add(self, confidence: Tensor, error: Tensor, valid: Tensor) -> None:
        """Add a pair, where it is `valid` (H, W)."""
        confidence, error = (v[valid].double() for v in (confidence, error))
        confidence = confidence.nan_to_num(0).clamp(0, 1)
        self.area += float(_area_over_oracle(error, confidence))
        self.random_area += float(_area_over_oracle(error, torch.zeros_like(confidence)))
        bin_ = (confidence * BINS).long().clamp(max=BINS - 1)
        for total, values in zip(self.bins, (torch.ones_like(error), confidence, (error < RIGHT).double())):
            total.index_add_(0, bin_, values)

    def figures(self) -> dict[str, float]:
        """`ause` and `ece`; NaN without pixels or errors.

        `ause` is the area under the sparsification error (Ilg et al., 2018) of each pair's pixels, divided by that of a
        random order: 0 is the oracle's order, 1 is no order. `ece` is the expected calibration error (Guo et al., 2017)
        of the event that a pixel's error is below 1 px, 0..1.
        """
        pixels, confidence, right = self.bins
        total = float(pixels.sum())
        return {
            "ause": self.area / self.random_area if self.random_area > 0 else float("nan"),
            "ece": float((confidence - right).abs().sum()) / total if total else float("nan"),
        }

"""Training loss and error figures of flow (B, 2, H, W), in pixels, on valid pixels (B, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_FLOW = 400.0
FIGURES = ("epe", "out05", "out1", "out3", "out5", "fl_all")


def length(flow: Tensor) -> Tensor:
    """(..., 2, H, W) to (..., H, W)."""
    # On a CPU, torch.linalg.vector_norm over so short a dimension takes a hundred times as long.
    return torch.hypot(*flow.unbind(-3))


def known(gt: Tensor, valid: Tensor | None = None, max_flow: float = MAX_FLOW) -> Tensor:
    """Bool (B, H, W): valid pixels of gt (B, 2, H, W) that are finite and move less than max_flow px."""
    if gt.ndim != 4 or gt.shape[1] != 2:
        raise ValueError(f"flow is (B, 2, H, W), got {tuple(gt.shape)}")
    # NaN compares false and an infinite motion is not finite, so both are left out.
    mask = torch.isfinite(gt).all(1) & (length(gt.float()) < max_flow)
    if valid is None:
        return mask
    if valid.shape != mask.shape:
        raise ValueError(f"valid is (B, H, W) = {tuple(mask.shape)}, got {tuple(valid.shape)}")
    return mask & (valid if valid.dtype == torch.bool else valid >= 0.5)


def _same_shape(pred: Tensor, gt: Tensor) -> None:
    # Broadcasting would hide a wrong shape.
    if pred.shape != gt.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and ground truth {tuple(gt.shape)} differ in shape")


def epe_map(pred: Tensor, gt: Tensor) -> Tensor:
    """End-point error, px: (B, 2, H, W) twice to (B, H, W)."""
    _same_shape(pred, gt)
    return length(pred - gt)


def masked_l1(pred: Tensor, gt: Tensor, valid: Tensor | None = None, max_flow: float = MAX_FLOW) -> Tensor:
    """Scalar loss: |x error| + |y error| summed over known pixels, divided by twice the number of all pixels."""
    _same_shape(pred, gt)
    mask = known(gt, valid, max_flow)[:, None]
    # Filled before the subtraction too: the gradient of NaN times 0 would be NaN.
    error = (pred - gt.masked_fill(~mask, 0)).abs()
    return error.masked_fill(~mask, 0).mean()


class Metrics:
    """Sums errors over batches, so that figures are means over pixels. Percentages are 0 to 100."""

    def __init__(self, max_flow: float = MAX_FLOW) -> None:
        if not max_flow > 0:
            raise ValueError(f"max_flow is a length in pixels above 0, got {max_flow}")
        self.max_flow = max_flow
        self._sums = torch.zeros(1 + len(FIGURES), dtype=torch.float64)

    @torch.no_grad()
    def add(self, pred: Tensor, gt: Tensor, valid: Tensor | None = None) -> Metrics:
        """Adds a batch: pred and gt (B, 2, H, W), valid (B, H, W)."""
        mask = known(gt, valid, self.max_flow)
        error = epe_map(pred.double(), gt.double())[mask]
        motion = length(gt.double())[mask]
        # Negated comparisons: an error of NaN is an outlier.
        outliers = [~(error < px) for px in (0.5, 1, 3, 5)] + [~((error <= 3) | (error <= 0.05 * motion))]
        sums = [torch.tensor(error.numel(), device=error.device), error.sum()] + [o.sum() for o in outliers]
        self._sums += torch.stack([s.double() for s in sums]).cpu()
        return self

    @property
    def valid_pixels(self) -> int:
        """Pixels that counted so far."""
        return int(self._sums[0])

    def result(self) -> dict[str, float]:
        """`epe` (px); `out05`, `out1`, `out3`, `out5` (percent not below 0.5, 1, 3, 5 px); `fl_all` (percent).

        NaN if empty.
        """
        epe, *shares = (self._sums[1:] / self._sums[0]).tolist()
        return dict(zip(FIGURES, (epe, *(100 * s for s in shares))))

"""What is compared: functions of two frames, (3, H, W) RGB in 0..1 each."""

from __future__ import annotations

import os
from typing import Callable, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoint import load_network
from ..network import resize_flow


class Prediction(NamedTuple):
    """What a method says of two frames."""

    flow: Tensor  # (2, H, W) px
    confidence: Tensor | None = None  # (H, W), 0..1
    seconds: float | None = None  # what the computation took, if that is less than the call


Method = Callable[[Tensor, Tensor], Prediction]


def zero(frame1: Tensor, frame2: Tensor) -> Prediction:
    """Nothing moves."""
    return Prediction(torch.zeros(2, *frame1.shape[1:]))


def eight_bits(frame: Tensor) -> np.ndarray:
    """A frame as uint8 (H, W, 3), RGB."""
    return (frame.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def _grey(frame: Tensor) -> np.ndarray:
    return cv2.cvtColor(eight_bits(frame), cv2.COLOR_RGB2GRAY)


def translation(frame1: Tensor, frame2: Tensor) -> Prediction:
    """Everything moves alike, as far as phase correlation says."""
    grey1, grey2 = (_grey(frame).astype(np.float64) for frame in (frame1, frame2))
    window = cv2.createHanningWindow(grey1.shape[::-1], cv2.CV_64F)
    shift, _ = cv2.phaseCorrelate(grey1, grey2, window)
    return Prediction(torch.tensor(shift, dtype=torch.float32)[:, None, None].expand(2, *frame1.shape[1:]))


def dis(preset: int = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, refined: bool = False) -> Method:
    """OpenCV's dense inverse search (Kroeger et al., 2016) with one of its presets.

    `refined`: OpenCV's variational refinement (Brox et al., 2004) improves the result, with its default parameters.
    """

    def compute(frame1: Tensor, frame2: Tensor) -> Prediction:
        grey1, grey2 = _grey(frame1), _grey(frame2)
        flow = cv2.DISOpticalFlow_create(preset).calc(grey1, grey2, None)
        if refined:
            flow = cv2.VariationalRefinement_create().calc(grey1, grey2, flow)
        return Prediction(torch.from_numpy(flow).permute(2, 0, 1))

    return compute


CLASSICAL: dict[str, Method] = {
    "zero": zero,
    "translation": translation,
    "DIS fast": dis(cv2.DISOPTICAL_FLOW_PRESET_FAST),
    "DIS medium": dis(),
    "DIS medium + VariationalRefinement": dis(refined=True),
}
"""Methods without a network, by name."""


def model(path: str | os.PathLike, device: torch.device) -> Method:
    """A file with backbone and head, on frames of their own size; sizes that are no whole patches are resized."""
    network = load_network(path).to(device).eval()
    patch = network.backbone.config.patch

    @torch.no_grad()
    def compute(frame1: Tensor, frame2: Tensor) -> Prediction:
        height, width = frame1.shape[1:]
        inner = tuple(max(1, round(n / patch)) * patch for n in (height, width))
        frames = torch.stack([frame1, frame2]).to(device)
        if inner != (height, width):
            frames = F.interpolate(frames, inner, mode="bilinear")
        flow = network(frames[:1], frames[1:]).flow.float()
        return Prediction(resize_flow(flow, height, width)[0].cpu())

    return compute

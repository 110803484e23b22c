"""What is compared: functions of two frames, (3, H, W) RGB in 0..1 each, to flow (2, H, W) px."""

from __future__ import annotations

import os
from typing import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoint import load_network
from ..network import resize_flow

Method = Callable[[Tensor, Tensor], Tensor]


def zero(frame1: Tensor, frame2: Tensor) -> Tensor:
    """Nothing moves."""
    return torch.zeros(2, *frame1.shape[1:])


def _grey(frame: Tensor) -> np.ndarray:
    rgb = (frame.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def translation(frame1: Tensor, frame2: Tensor) -> Tensor:
    """Everything moves alike, as far as phase correlation says."""
    grey1, grey2 = (_grey(frame).astype(np.float64) for frame in (frame1, frame2))
    window = cv2.createHanningWindow(grey1.shape[::-1], cv2.CV_64F)
    shift, _ = cv2.phaseCorrelate(grey1, grey2, window)
    return torch.tensor(shift, dtype=torch.float32)[:, None, None].expand(2, *frame1.shape[1:])


def dis(frame1: Tensor, frame2: Tensor) -> Tensor:
    """OpenCV's dense inverse search (Kroeger et al., 2016) with its medium preset."""
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return torch.from_numpy(method.calc(_grey(frame1), _grey(frame2), None)).permute(2, 0, 1)


def model(path: str | os.PathLike, device: torch.device) -> Method:
    """A file with backbone and head, on frames of their own size; sizes that are no whole patches are resized."""
    network = load_network(path).to(device).eval()
    patch = network.backbone.config.patch

    @torch.no_grad()
    def compute(frame1: Tensor, frame2: Tensor) -> Tensor:
        height, width = frame1.shape[1:]
        inner = tuple(max(1, round(n / patch)) * patch for n in (height, width))
        frames = torch.stack([frame1, frame2]).to(device)
        if inner != (height, width):
            frames = F.interpolate(frames, inner, mode="bilinear")
        flow = network(frames[:1], frames[1:]).flow.float()
        return resize_flow(flow, height, width)[0].cpu()

    return compute

"""Photometric effects on finished frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .rng import Rng
from .textures import gaussian_blur


def _shadow(n: int, height: int, width: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """A soft shadow factor (n,1,H,W) of each frame, moved a little between them."""
    grid = rng.noise((n, 1, 5, 5))
    drift = rng.normal((n, 2)) * 0.1
    scale, turn = rng.uniform((n,), 0.3, 0.7), torch.zeros(n)
    sharp, depth = rng.log_uniform((n,), 1.0, 12.0), rng.uniform((n,), 0.1, 0.6)
    sharp, depth = (v.to(rng.device)[:, None, None, None] for v in (sharp, depth))
    grid, out = F.interpolate(grid, (32, 32), mode="bicubic", align_corners=False), []
    for move in (torch.zeros(n, 2), drift):
        theta = torch.stack([scale, turn, move[:, 0], turn, scale, move[:, 1]], 1).view(n, 2, 3).to(rng.device)
        where = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
        field = F.grid_sample(grid, where, padding_mode="reflection", align_corners=False)
        out.append(1 - depth * torch.sigmoid(4 * sharp * field))
    return out[0], out[1]


def luma(frames: Tensor) -> Tensor:
    """RGB (..., 3, H, W) to (..., 1, H, W), as ITU-R BT.601 has it."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=frames.device).view(3, 1, 1)
    return (weights * frames).sum(-3, keepdim=True)


def desaturated(frame1: Tensor, frame2: Tensor, share: float, rng: Rng) -> tuple[Tensor, Tensor]:
    """Both frames (B,3,H,W) of a `share` of the samples with less colour: two in five of these have none."""
    n = len(frame1)
    saturation = torch.where(rng.chance((n,), share), rng.uniform((n,), -0.4, 0.6).clamp(min=0), torch.ones(n))
    saturation = saturation.to(rng.device).view(n, 1, 1, 1)
    return tuple(torch.lerp(luma(frame), frame, saturation) for frame in (frame1, frame2))


def photometric(frame1: Tensor, frame2: Tensor, clean: float, rng: Rng) -> tuple[Tensor, Tensor]:
    """Exposure, gamma, tint, shadows, defocus and noise on (B,3,H,W); a share `clean` of the samples has none."""
    b, _, h, w = frame1.shape
    rows = (~rng.chance((b,), clean)).nonzero()[:, 0]
    n = len(rows)
    if n == 0:
        return frame1, frame2
    where = rows.to(rng.device)
    one, two = frame1[where], frame2[where]

    def column(values: Tensor) -> Tensor:
        return values.to(rng.device).view(n, -1, 1, 1)

    shaded = rng.chance((n,), 0.3).nonzero()[:, 0]
    if len(shaded):
        at = shaded.to(rng.device)
        first, second = _shadow(len(shaded), h, w, rng)
        one[at], two[at] = one[at] * first, two[at] * second

    # The look both frames share, and the smaller change between them.
    gain, gamma = torch.exp(0.25 * rng.normal((n, 1))), torch.exp(0.15 * rng.normal((n, 1)))
    change = rng.chance((n, 1), 0.6) * rng.uniform((n, 1), 0, 1)
    tint = torch.exp(change * 0.08 * rng.normal((n, 3)))
    gain2, gamma2 = gain * torch.exp(change * 0.2 * rng.normal((n, 1))) * tint, gamma * torch.exp(
        change * 0.12 * rng.normal((n, 1)))
    one = (one * column(gain)).clamp(1e-4, 1) ** column(gamma)
    two = (two * column(gain2)).clamp(1e-4, 1) ** column(gamma2)

    # Defocus of both frames, or of the second alone.
    sigma, both = rng.log_uniform((n,), 0.4, 1.8), rng.chance((n,), 0.5)
    soft = rng.chance((n,), 0.25)
    for image, mask in ((one, soft & both), (two, soft)):
        chosen = mask.nonzero()[:, 0]
        if len(chosen):
            at = chosen.to(rng.device)
            image[at] = gaussian_blur(image[at], sigma[chosen])

    noisy = rng.chance((n,), 0.7)
    read = rng.log_uniform((n,), 0.001, 0.03) * noisy
    shot = rng.log_uniform((n,), 0.001, 0.04) * noisy
    one, two = (v + rng.noise(v.shape) * (column(read) ** 2 + column(shot) ** 2 * v).sqrt() for v in (one, two))
    frame1, frame2 = frame1.clone(), frame2.clone()
    frame1[where], frame2[where] = one.clamp(0, 1), two.clamp(0, 1)
    return frame1, frame2

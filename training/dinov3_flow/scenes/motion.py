"""Motion of layers: canonical coordinates (the layer as it lies in frame 0) of a pixel at time t, and the way back.

v = M_t(pixel), u = N_t(v) = v + t d(v), with M_t = layer(t) o camera(t) a homography, M_0 the identity and d a sum of
sinusoids. All coordinates are px about the image centre. As M_0 and N_0 are identities, a pixel x of frame 0 has
u = x, so that its place in frame 1, M_1^-1(N_1^-1(x)), is exactly x when nothing moves.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .rng import Rng

Moment = tuple[int, int]
WAVES = 3
# 0.35^9 of a few px is far below a thousandth of a pixel.
FIXED_POINT_STEPS = 9
MAX_GRADIENT = 0.35


def magnitudes(
    n: int, limit: float, rng: Rng, static: float, subpixel: float, moving: tuple[float, float, float]
) -> Tensor:
    """Displacement scale (n,) in px of each pair: none, sub-pixel, or, as `moving` shares them out, small (to 4 px),
    medium (to 16 px) or large."""
    edges = [0.05, 1.0, min(4.0, limit), min(16.0, limit), limit]
    rest = 1 - static - subpixel
    shares = torch.tensor([static, subpixel, *(share * rest for share in moving)], dtype=torch.float32)
    cls = torch.multinomial(shares, n, replacement=True, generator=rng.params)
    low, high = torch.tensor([edges[0]] + edges[:-1]), torch.tensor([edges[0]] + edges[1:])
    size = low[cls] * (high[cls] / low[cls]) ** rng.uniform((n,))
    return torch.where(cls == 0, torch.zeros(n), size)


def random_motion(magnitude: Tensor, radius: Tensor, centre: Tensor, rng: Rng) -> Tensor:
    """Parameters (n,10): translation 2, angle, log scale, shear, perspective 2, stretch, centre 2.

    magnitude (n,) px is the displacement to expect at `radius` (n,) px from `centre` (n,2).
    """
    n = len(magnitude)
    heading, share = rng.uniform((n,), 0, math.tau), rng.uniform((n,), 0.4, 1.0)
    shift = (magnitude * share)[:, None] * torch.stack([heading.cos(), heading.sin()], 1)
    turn = magnitude * (1.3 - share) / radius
    parts = rng.normal((n, 6)) * turn[:, None]
    sparse = rng.chance((n, 6), 0.6)
    caps = torch.tensor([0.5, 0.3, 0.15, 0.06, 0.06, 0.15])
    parts = parts * sparse * torch.tensor([0.7, 0.6, 0.3, 0.2, 0.2, 0.3])
    parts = torch.maximum(torch.minimum(parts, caps), -caps)
    parts[:, 3:5] /= radius[:, None]
    return torch.cat([shift, parts[:, :3], parts[:, 3:5], parts[:, 5:6], centre], 1)


def matrices(params: Tensor, t: Tensor) -> Tensor:
    """Homographies (n,3,3), double precision, of parameters (n,10) at times t (n,); the identity at t = 0."""
    p = params.double() * t.double()[:, None]
    cx, cy = params[:, 8].double(), params[:, 9].double()
    c, s, zoom = p[:, 2].cos(), p[:, 2].sin(), p[:, 3].exp()
    sx, sy, k = zoom * p[:, 7].exp(), zoom * (-p[:, 7]).exp(), p[:, 4]
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    linear = torch.stack([c * sx, (c * k - s) * sy, zero, s * sx, (s * k + c) * sy, zero, p[:, 5], p[:, 6], one], 1)

    def translation(x: Tensor, y: Tensor) -> Tensor:
        return torch.stack([one, zero, x, zero, one, y, zero, zero, one], 1).view(-1, 3, 3)

    out = translation(cx + p[:, 0], cy + p[:, 1]) @ linear.view(-1, 3, 3) @ translation(-cx, -cy)
    return out / out[:, 2:, 2:]


def apply_homography(h: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Map coordinates (n,H,W) by (n,3,3)."""
    m = h.flatten(1)[:, :, None, None].unbind(1)
    w = 1 / (m[6] * x + m[7] * y + m[8]).clamp(min=0.05)
    return (m[0] * x + m[1] * y + m[2]) * w, (m[3] * x + m[4] * y + m[5]) * w


class LayerMotion:
    """Motion of one layer over n samples; parameters lie on the CPU until used.

    A moment is (frame, step): the frame's time plus `step` of the sample's shutter (n,).
    """

    def __init__(self, layer: Tensor, camera: Tensor, magnitude: Tensor, shutter: Tensor, nonrigid: Tensor,
                 rng: Rng) -> None:
        self.layer, self.camera, self.shutter, self.device = layer, camera, shutter, rng.device
        self._cache: dict[Moment, tuple[Tensor, Tensor, Tensor, Tensor]] = {}
        n = len(magnitude)
        wavelength, heading = rng.log_uniform((n, WAVES), 40, 200), rng.uniform((n, WAVES), 0, math.tau)
        k = math.tau / wavelength
        steepest = MAX_GRADIENT / (WAVES * k)
        size = torch.minimum(steepest, (0.3 * magnitude)[:, None]) * rng.uniform((n, WAVES), 0.2, 1.0)
        across, phase = rng.uniform((n, WAVES), 0, math.tau), rng.uniform((n, WAVES), 0, math.tau)
        rows = (nonrigid & (magnitude > 0)).nonzero()[:, 0]
        self.rows = rows.to(self.device) if len(rows) else None
        waves = torch.stack([k * heading.cos(), k * heading.sin(), phase, size * across.cos(), size * across.sin()])
        self.waves = waves[:, rows].to(self.device)[..., None, None]

    def at(self, when: Moment) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """M_t, its inverse (n,3,3), the local scale in layer px for each image px, and the time t (n,1,1)."""
        if when not in self._cache:
            t = when[0] + when[1] * self.shutter
            m = matrices(self.layer, t) @ matrices(self.camera, t)
            scale = torch.linalg.det(m[:, :2, :2]).abs().sqrt()[:, None, None]
            values = (m, torch.linalg.inv(m), scale, t[:, None, None])
            self._cache[when] = tuple(v.float().to(self.device) for v in values)
        return self._cache[when]

    def _bend(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """d(v) of the non-rigid rows."""
        dx, dy = torch.zeros_like(x), torch.zeros_like(y)
        kx, ky, phase, ax, ay = self.waves
        for i in range(WAVES):
            wave = torch.sin(kx[:, i] * x + ky[:, i] * y + phase[:, i])
            dx, dy = dx + ax[:, i] * wave, dy + ay[:, i] * wave
        return dx, dy

    def canonical(self, x: Tensor, y: Tensor, when: Moment) -> tuple[Tensor, Tensor]:
        """Canonical coordinates of pixels (n,H,W) at a moment."""
        if when == (0, 0):
            return x, y
        homography, _, _, t = self.at(when)
        x, y = apply_homography(homography, x, y)
        if self.rows is not None:
            dx, dy = self._bend(x[self.rows], y[self.rows])
            t = t[self.rows]
            x, y = x.index_add(0, self.rows, dx * t), y.index_add(0, self.rows, dy * t)
        return x, y

    def target(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Where points of frame 0 (n,H,W) lie in frame 1."""
        if self.rows is not None:
            ux, uy = x[self.rows], y[self.rows]
            vx, vy = ux, uy
            for _ in range(FIXED_POINT_STEPS):
                dx, dy = self._bend(vx, vy)
                vx, vy = ux - dx, uy - dy
            x, y = x.index_copy(0, self.rows, vx), y.index_copy(0, self.rows, vy)
        return apply_homography(self.at((1, 0))[1], x, y)

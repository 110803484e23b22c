"""Layer masks: signed distances (px, negative inside) in a layer's own coordinates."""

from __future__ import annotations

import math
from typing import Callable

import torch
from torch import Tensor

from .rng import Rng

Shape = dict[str, Tensor]


def _p(values: Tensor) -> Tensor:
    return values[:, None, None]


def polygon(x: Tensor, y: Tensor, s: Shape) -> Tensor:
    """Star-shaped polygon: the distance to the edge of the pixel's own sector."""
    width = math.tau / s["corners"]
    sector = torch.floor((torch.atan2(y, x) % math.tau) / _p(width))
    sector = torch.minimum(sector, _p(s["corners"]) - 1)
    following = (sector + 1) % _p(s["corners"])
    angles = (sector * _p(width), (sector + 1) * _p(width))
    radii = [s["radii"].gather(1, k.long().flatten(1)).view_as(x) for k in (sector, following)]
    (ax, ay), (bx, by) = ((r * a.cos(), r * a.sin()) for r, a in zip(radii, angles))
    ex, ey = bx - ax, by - ay
    return ((x - ax) * ey - (y - ay) * ex) / (ex * ex + ey * ey).sqrt().clamp(min=1e-3)


def superellipse(x: Tensor, y: Tensor, s: Shape) -> Tensor:
    """|x/a|^n + |y/b|^n = 1, its implicit value divided by the gradient."""
    a, b, n = _p(s["size"]), _p(s["size"] * s["aspect"]), _p(s["power"])
    u, v = (x / a).abs().clamp(1e-4, 1e3), (y / b).abs().clamp(1e-4, 1e3)
    f = (u**n + v**n) ** (1 / n)
    gx, gy = (u / f) ** (n - 1) / a, (v / f) ** (n - 1) / b
    return (f - 1) / (gx * gx + gy * gy).sqrt().clamp(min=1e-6)


def blob(x: Tensor, y: Tensor, s: Shape) -> Tensor:
    """Radius a sum of harmonics of the angle."""
    theta, r = torch.atan2(y, x), (x * x + y * y).sqrt().clamp(min=1e-3)
    radius, slope = torch.ones_like(x), torch.zeros_like(x)
    for k in range(s["amplitude"].shape[1]):
        phase, amplitude = (k + 2) * theta + _p(s["phase"][:, k]), _p(s["amplitude"][:, k])
        radius = radius + amplitude * phase.cos()
        slope = slope - (k + 2) * amplitude * phase.sin()
    size = _p(s["size"])
    return (r - radius * size) / (1 + (slope * size / r) ** 2).sqrt()


def segments(x: Tensor, y: Tensor, s: Shape) -> Tensor:
    """A few thick line segments (wires, twigs)."""
    nearest = None
    for k in range(s["ends"].shape[1]):
        ax, ay, bx, by = (_p(v) for v in s["ends"][:, k].unbind(1))
        ex, ey = bx - ax, by - ay
        t = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey).clamp(min=1e-3)).clamp(0, 1)
        distance = (x - ax - t * ex) ** 2 + (y - ay - t * ey) ** 2
        nearest = distance if nearest is None else torch.minimum(nearest, distance)
    return nearest.sqrt() - _p(s["thickness"])


def ring(x: Tensor, y: Tensor, s: Shape) -> Tensor:
    """A circular ring."""
    return ((x * x + y * y).sqrt() - _p(s["size"])).abs() - _p(s["thickness"])


def lattice(x: Tensor, y: Tensor, s: Shape) -> Tensor:
    """A fence: crossed bars inside a rectangle."""
    a, b, pitch = _p(s["size"]), _p(s["size"] * s["aspect"]), _p(s["pitch"])
    u, v = ((q - pitch * torch.round(q / pitch)).abs() for q in (x, y))
    return torch.maximum(torch.minimum(u, v) - _p(s["thickness"]), torch.maximum(x.abs() - a, y.abs() - b))


KINDS: tuple[Callable[[Tensor, Tensor, Shape], Tensor], ...] = (polygon, superellipse, blob, segments, ring, lattice)
_WEIGHTS = (0.26, 0.2, 0.26, 0.14, 0.07, 0.07)


class LayerShapes:
    """Shapes of one layer over n samples, grouped by kind so that each costs one kind's work."""

    def __init__(self, n: int, extent: float, rng: Rng) -> None:
        kind = torch.multinomial(torch.tensor(_WEIGHTS), n, replacement=True, generator=rng.params)
        size = rng.log_uniform((n,), 0.07, 0.45) * extent
        amplitude = rng.uniform((n, 4), -0.25, 0.25) / torch.arange(1, 5) ** 0.7
        ends = rng.uniform((n, 5, 4), -1.5, 1.5) * size[:, None, None]
        size_thin = size.clamp(min=0.12 * extent)
        thin = kind >= 3
        self.size = torch.where(thin, size_thin, size)
        params = dict(
            size=self.size, aspect=rng.log_uniform((n,), 0.35, 1.0), power=rng.log_uniform((n,), 1.3, 7.0),
            corners=rng.integers((n,), 3, 11).float(), radii=rng.uniform((n, 10), 0.5, 1.3) * size[:, None],
            amplitude=amplitude, phase=rng.uniform((n, 4), 0, math.tau), ends=ends,
            thickness=rng.log_uniform((n,), 0.8, 5.0), pitch=rng.uniform((n,), 14.0, 40.0),
        )
        self.groups: list[tuple[int, Tensor, Shape]] = []
        for k in range(len(KINDS)):
            rows = (kind == k).nonzero()[:, 0]
            if len(rows):
                shape = {name: v[rows].to(rng.device) for name, v in params.items()}
                self.groups.append((k, rows.to(rng.device), shape))

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Signed distance in layer px at layer coordinates (n,H,W)."""
        out = torch.empty_like(x)
        for k, rows, shape in self.groups:
            out[rows] = KINDS[k](x[rows], y[rows], shape)
        return out

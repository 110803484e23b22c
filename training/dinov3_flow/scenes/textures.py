"""A bank of random textures, made anew for each batch."""

from __future__ import annotations

import math
from typing import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .rng import Rng


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur (N,C,H,W) by one Gaussian sigma (N,) in px for each image (sigma on the CPU)."""
    n, c, h, w = images.shape
    radius = max(1, min(int(math.ceil(2.5 * float(sigma.max()))), min(h, w) - 1))
    taps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (taps / sigma.clamp(min=1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0).to(images.device)
    out = F.pad(images, (radius,) * 4, mode="reflect").reshape(1, n * c, h + 2 * radius, w + 2 * radius)
    out = F.conv2d(out, kernel[:, None, None, :], groups=n * c)
    return F.conv2d(out, kernel[:, None, :, None], groups=n * c).reshape(n, c, h, w)


def _col(values: Tensor, rng: Rng) -> Tensor:
    """(N,) -> (N,1,1) on the device."""
    return values.to(rng.device)[:, None, None]


def _upright_grid(n: int, size: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """Pixel coordinates (N,S,S) about the centre."""
    line = torch.arange(size, device=rng.device, dtype=torch.float32) - size / 2
    return line[None, None, :].expand(n, size, size), line[None, :, None].expand(n, size, size)


def _grid(n: int, size: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """Pixel coordinates (N,S,S) about the centre, each texture turned by its own angle."""
    x, y = _upright_grid(n, size, rng)
    angle = _col(rng.uniform((n,), 0, math.tau), rng)
    return x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()


def _fractal(n: int, channels: int, size: int, rng: Rng, finest: int = 0) -> Tensor:
    """Noise (N,C,S,S) in 0..1: octaves of random grids, amplitude a power law of their spacing."""
    slope = rng.uniform((n,), 0.2, 1.3).to(rng.device)[:, None, None, None]
    low = rng.uniform((n,), 0.0, 4.0).to(rng.device)[:, None, None, None]
    total, octaves = None, max(1, int(math.log2(size)) - 1)
    for octave in range(octaves - finest):
        cells = min(size, 3 * 2**octave)
        grid = rng.noise((n, channels, cells, cells))
        if cells < size:
            grid = F.interpolate(grid, (size, size), mode="bicubic", align_corners=False)
        # Octaves below `low` fade out: some textures have detail only, no large patches.
        grid = grid * torch.exp2(-slope * (octave - low).abs()) if octave else grid * torch.exp2(-slope * low)
        total = grid if total is None else total + grid
    total = total / total.flatten(1).std(1).view(n, 1, 1, 1).clamp(min=1e-4)
    return (total * 0.22 + 0.5).clamp(0, 1)


def _warp(n: int, size: int, rng: Rng, amount: float) -> Tensor:
    """A smooth offset (N,S,S) in px."""
    grid = F.interpolate(rng.noise((n, 1, 6, 6)), (size, size), mode="bicubic", align_corners=False)[:, 0]
    return grid * _col(rng.uniform((n,), 0, amount) * rng.chance((n,), 0.6), rng)


def _palette(n: int, count: int, rng: Rng) -> Tensor:
    """Colours (N,count,3) about a base colour of each texture, with spread that varies between textures."""
    base, spread = rng.uniform((n, 1, 3), 0.15, 0.9), rng.uniform((n, 1, 1), 0.25, 1.0)
    grey = rng.uniform((n, count, 1))
    saturation = rng.uniform((n, 1, 1), 0.1, 1.0)
    colour = grey + saturation * (rng.uniform((n, count, 3)) - grey)
    return (base + spread * (colour - base)).clamp(0.02, 1).to(rng.device)


def _shade(value: Tensor, rng: Rng) -> Tensor:
    """Map values (N,S,S) in 0..1 to colours (N,3,S,S) through two or three colours."""
    n = value.shape[0]
    colours = _palette(n, 3, rng)
    # Two-colour ramps have the middle colour exactly between the ends.
    two = rng.chance((n,), 0.5).to(rng.device)[:, None]
    middle = torch.where(two, (colours[:, 0] + colours[:, 2]) / 2, colours[:, 1])
    first, mid, last = (c[:, :, None, None] for c in (colours[:, 0], middle, colours[:, 2]))
    v = (value * 2)[:, None]
    return first + (mid - first) * v.clamp(max=1) + (last - mid) * (v - 1).clamp(min=0)


def _pick(index: Tensor, count: int, rng: Rng) -> Tensor:
    """Colour of each index (N,S,S) in 0..count-1 -> (N,3,S,S)."""
    n, h, w = index.shape
    colours = _palette(n, count, rng).transpose(1, 2)
    return torch.gather(colours, 2, index.reshape(n, 1, -1).expand(n, 3, -1)).reshape(n, 3, h, w)


def noise(n: int, size: int, rng: Rng) -> Tensor:
    """Band-limited noise, coloured by a palette or with independent channels."""
    fields = _fractal(n, 3, size, rng)
    mix = _col(rng.uniform((n,)) * rng.chance((n,), 0.4), rng)[..., None]
    return _shade(fields[:, 0], rng) * (1 - mix) + fields * mix


def gradient(n: int, size: int, rng: Rng) -> Tensor:
    """Linear or radial ramps with soft clouds."""
    x, y = _grid(n, size, rng)
    radial = _col(rng.chance((n,), 0.4), rng)
    ramp = torch.where(radial, (x * x + y * y).sqrt() / size, x / size + 0.5)
    return _shade((0.75 * ramp + 0.4 * _fractal(n, 1, size, rng, 3)[:, 0] - 0.1).clamp(0, 1), rng)


def stripes(n: int, size: int, rng: Rng) -> Tensor:
    """Gratings, from sine to square, some warped."""
    x, _ = _grid(n, size, rng)
    period = _col(rng.log_uniform((n,), 5, size / 3), rng)
    wave = torch.sin(math.tau * (x + _warp(n, size, rng, 12)) / period + _col(rng.uniform((n,), -0.7, 0.7), rng))
    sharp = _col(rng.log_uniform((n,), 0.5, 6), rng)
    return _shade((0.5 + 0.5 * wave * sharp).clamp(0, 1), rng)


def checks(n: int, size: int, rng: Rng) -> Tensor:
    """Checkerboards and tile floors of random tile shades."""
    x, y = _grid(n, size, rng)
    cell = _col(rng.log_uniform((n,), 5, size / 5), rng)
    i = torch.floor((x + _warp(n, size, rng, 6)) / cell).long()
    j = torch.floor((y + _warp(n, size, rng, 6)) / (cell * _col(rng.uniform((n,), 0.5, 1.5), rng))).long()
    plain, table = ((i + j) % 2), rng.integers((n, 64 * 64), 0, 5).to(rng.device)
    tile = torch.gather(table, 1, ((i % 64) * 64 + j % 64).flatten(1)).view_as(plain)
    return _pick(torch.where(_col(rng.chance((n,), 0.5), rng), plain, tile), 5, rng)


def _cells(n: int, size: int, rng: Rng) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest and second distances (in cells) and nearest cell number (N,S,S) of one random point in each cell."""
    x, y = _grid(n, size, rng)
    side = 64
    cell = _col(rng.log_uniform((n,), max(7.0, 1.5 * size / side), size / 4), rng)
    px, py = x / cell + side / 2, y / cell + side / 2
    jx, jy = (rng.field((n, side * side)) for _ in range(2))
    ix, iy = px.floor(), py.floor()
    best = torch.full_like(px, 1e3)
    second, number = best.clone(), torch.zeros_like(px, dtype=torch.long)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            cx, cy = (ix + dx), (iy + dy)
            key = (cy.clamp(0, side - 1) * side + cx.clamp(0, side - 1)).long()
            flat = key.flatten(1)
            ox, oy = jx.gather(1, flat).view_as(px), jy.gather(1, flat).view_as(px)
            distance = ((cx + ox - px) ** 2 + (cy + oy - py) ** 2).sqrt()
            nearer = distance < best
            second = torch.where(nearer, best, torch.minimum(second, distance))
            number = torch.where(nearer, key, number)
            best = torch.minimum(best, distance)
    return best, second, number


def voronoi(n: int, size: int, rng: Rng) -> Tensor:
    """Voronoi cells of their own colour, some with mortar or shading by distance."""
    best, second, number = _cells(n, size, rng)
    image = _pick(number * 7919 % 13, 13, rng)
    edge = ((second - best) / _col(rng.uniform((n,), 0.04, 0.2), rng)).clamp(0, 1)
    edge = torch.where(_col(rng.chance((n,), 0.5), rng), edge, torch.ones_like(edge))
    return image * (0.35 + 0.65 * edge)[:, None] * (1 - 0.5 * best * _col(rng.uniform((n,)), rng))[:, None]


def leaves(n: int, size: int, rng: Rng, count: int = 72) -> Tensor:
    """Dead leaves: discs and turned rectangles, the large ones below."""
    x, y = _upright_grid(n, size, rng)
    radius = rng.log_uniform((n, count), 0.018 * size, 0.28 * size).sort(1).values
    cx, cy = rng.uniform((n, count), -0.5, 0.5) * size, rng.uniform((n, count), -0.5, 0.5) * size
    angle, aspect = rng.uniform((n, count), 0, math.tau), rng.uniform((n, count), 0.3, 1)
    a, b = angle.cos() / radius, angle.sin() / radius
    c, d = -angle.sin() / (radius * aspect), angle.cos() / (radius * aspect)
    boxes = rng.chance((n, count), 0.5)
    rows = torch.stack([cx, cy, a, b, c, d], 0).to(rng.device)[..., None, None]
    boxes, leaf = boxes.to(rng.device)[..., None, None], torch.full(x.shape, float(count), device=rng.device)
    # Sorted small to large and painted in the opposite order: what stays is the first leaf that covers a pixel.
    # One leaf of all textures at a time stays in the cache, which beats one large reduction over leaves.
    for k in range(count - 1, -1, -1):
        ox, oy, ax, ay, bx, by = rows[:, :, k]
        dx, dy = x - ox, y - oy
        u, v = (dx * ax + dy * ay).square_(), (dx * bx + dy * by).square_()
        inside = torch.where(boxes[:, k], torch.maximum(u, v), u.add(v)) < 1
        leaf.masked_fill_(inside, float(k))
    return _pick(leaf.long(), count + 1, rng)


def glyphs(n: int, size: int, rng: Rng) -> Tensor:
    """Text-like clutter: random binary glyphs in rows, with gaps between letters, words and lines."""
    x, y = _grid(n, size, rng)
    dot = _col(rng.log_uniform((n,), 1.6, 6), rng)
    i, j = torch.floor(x / dot).long() + 4096, torch.floor(y / dot).long() + 4096
    column, row, gx, gy = i // 5, j // 7, i % 5, j % 7
    words = rng.integers((n, 32 * 32), 0, 28).to(rng.device)
    letter = words.gather(1, ((row % 32) * 32 + column % 32).flatten(1))
    shapes = rng.chance((n, 32, 7, 5), 0.55)
    shapes[:, :5], shapes[:, :, 5:], shapes[:, :, :, 4] = False, False, False
    ink = shapes.flatten(1).to(rng.device).gather(1, (letter.view_as(i) * 35 + gy * 5 + gx).flatten(1)).view_as(i)
    return _pick(ink.long(), 2, rng)


def hexagons(n: int, size: int, rng: Rng) -> Tensor:
    """Hexagonal tiles with dark joints."""
    x, y = _grid(n, size, rng)
    cell = _col(rng.log_uniform((n,), 8, size / 6), rng)
    q, r = x / cell, y / cell
    height = math.sqrt(3.0)
    ax, ay = q - torch.round(q), r - height * torch.round(r / height)
    bx, by = q - torch.floor(q) - 0.5, r - height * (torch.floor(r / height) + 0.5)
    first = ax * ax + ay * ay < bx * bx + by * by
    hx, hy = torch.where(first, ax, bx), torch.where(first, ay, by)
    key = torch.round((q - hx) * 2).long() * 31 + torch.round((r - hy) / height * 2).long() * 17
    edge = 0.5 - torch.maximum(hx.abs(), 0.5 * hx.abs() + 0.5 * height * hy.abs())
    return _pick((key * key + key * 7) % 11, 11, rng) * (0.3 + 0.7 * (edge * 14).clamp(0, 1))[:, None]


def wood(n: int, size: int, rng: Rng) -> Tensor:
    """Rings of wood about a point outside or inside the texture, with grain."""
    x, y = _grid(n, size, rng)
    grain = _fractal(n, 1, size, rng, 1)[:, 0]
    radius = ((x - _col(rng.uniform((n,), -0.6, 0.6) * size, rng)) ** 2 + (0.3 * y) ** 2).sqrt()
    phase = (radius + 25 * grain) / _col(rng.log_uniform((n,), 6, 25), rng)
    return _shade((phase - phase.floor()) * 0.8 + 0.2 * grain, rng)


def marble(n: int, size: int, rng: Rng) -> Tensor:
    """Veins: a ridged noise along a warped direction."""
    x, _ = _grid(n, size, rng)
    cloud = _fractal(n, 1, size, rng, 2)[:, 0]
    vein = torch.sin(x / _col(rng.log_uniform((n,), 6, 30), rng) + cloud * 14).abs() ** 0.5
    return _shade((0.8 * vein + 0.2 * cloud).clamp(0, 1), rng)


def maze(n: int, size: int, rng: Rng) -> Tensor:
    """Truchet mazes: a diagonal of random sense in each square."""
    x, y = _grid(n, size, rng)
    cell = _col(rng.log_uniform((n,), 8, 32), rng)
    px, py = x / cell, y / cell
    ix, iy = px.floor(), py.floor()
    flip = rng.chance((n, 64 * 64), 0.5).to(rng.device)
    turned = flip.gather(1, ((iy.long() % 64) * 64 + ix.long() % 64).flatten(1)).view_as(px)
    fx, fy = px - ix, py - iy
    fx = torch.where(turned, 1 - fx, fx)
    # Quarter circles about two opposite corners meet those of the neighbouring squares.
    arcs = torch.minimum(((fx**2 + fy**2).sqrt() - 0.5).abs(), (((1 - fx) ** 2 + (1 - fy) ** 2).sqrt() - 0.5).abs())
    return _shade(((0.18 - arcs) * cell + 0.5).clamp(0, 1), rng)


_MAKERS: dict[str, Callable[[int, int, Rng], Tensor]] = {
    f.__name__: f for f in (noise, gradient, stripes, checks, voronoi, leaves, glyphs, hexagons, wood, marble, maze)
}
TRAIN_KINDS: tuple[str, ...] = ("noise", "gradient", "stripes", "checks", "voronoi", "leaves", "glyphs")
HELD_OUT_KINDS: tuple[str, ...] = ("hexagons", "wood", "marble", "maze")
# Noise and leaves resemble photographs most, gradients constrain motion least.
_WEIGHTS: dict[str, float] = {"noise": 3.0, "leaves": 2.0, "gradient": 0.7, "checks": 0.8, "glyphs": 0.8}


def texture_bank(count: int, size: int, kinds: Sequence[str], flat_share: float, rng: Rng) -> Tensor:
    """Textures (count,3,size,size) in 0..1, of random kinds, of which a share is nearly of one colour, as a sky is."""
    unknown = [k for k in kinds if k not in _MAKERS]
    if unknown or not kinds:
        raise ValueError(f"unknown texture kinds {unknown}; choose from {sorted(_MAKERS)}")
    weights = torch.tensor([_WEIGHTS.get(k, 1.0) for k in kinds])
    chosen = torch.multinomial(weights, count, replacement=True, generator=rng.params).bincount(minlength=len(kinds))
    bank = torch.cat([_MAKERS[k](int(c), size, rng) for k, c in zip(kinds, chosen) if c])
    # A mean of 2 x 2 softens the hard edges that the makers leave.
    bank = F.avg_pool2d(F.pad(bank, (0, 1, 0, 1), mode="replicate"), 2, 1)
    flat = rng.chance((count,), flat_share)
    fine = torch.where(flat, rng.uniform((count,), 0, 0.01), rng.log_uniform((count,), 0.01, 0.12))
    mottle = torch.where(flat, 0.01 * rng.uniform((count,)), rng.log_uniform((count,), 0.02, 0.3))
    contrast = torch.where(flat, rng.uniform((count,), 0.0, 0.15), torch.ones(count))
    fine, mottle, contrast = (v.to(rng.device)[:, None, None, None] for v in (fine, mottle, contrast))
    mean = bank.mean((2, 3), keepdim=True)
    bank = mean + (bank - mean) * contrast
    half = rng.noise((count, 1, (size + 1) // 2, (size + 1) // 2))
    coarse = rng.noise((count, 1, max(2, size // 12), max(2, size // 12)))
    resize = dict(size=(size, size), mode="bilinear", align_corners=False)
    bank = bank + fine * F.interpolate(half, **resize) + 0.5 * mottle * F.interpolate(coarse, **resize)
    soft = rng.chance((count,), 0.25).nonzero()[:, 0]
    if len(soft):
        where = soft.to(rng.device)
        bank[where] = gaussian_blur(bank[where], rng.log_uniform((len(soft),), 0.7, 4.0))
    return bank.clamp(0, 1)

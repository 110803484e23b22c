"""Compose layers into a pair of frames with exact flow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..metrics import known
from .camera import desaturated, photometric
from .motion import LayerMotion, Moment, magnitudes, random_motion
from .rng import Rng
from .shapes import LayerShapes
from .textures import TRAIN_KINDS, texture_bank


@dataclass(frozen=True)
class SceneOptions:
    """What the scenes hold; displacements in px, shares and chances 0..1."""

    kinds: tuple[str, ...] = TRAIN_KINDS
    textures: int = 14
    min_layers: int = 2
    max_layers: int = 8
    max_displacement: float = 64.0
    static_share: float = 0.08
    subpixel_share: float = 0.15
    moving_shares: tuple[float, float, float] = (0.36, 0.36, 0.28)  # of the rest: to 4 px, to 16 px, above
    relative_motion: tuple[float, float] = (0.1, 1.0)  # of layers, as shares of the pair's displacement
    rigid_share: float = 0.0  # pairs in which only the camera moves
    nonrigid_share: float = 0.25
    motion_blur: float = 0.12
    photometric: bool = True
    clean_share: float = 0.25
    # Image px for each texture px: smaller than about 0.7 the textures would alias.
    texture_scale: tuple[float, float] = (0.7, 2.0)
    flat_share: float = 0.12  # textures that are nearly of one colour
    grey_share: float = 0.0  # pairs with less colour, or none


class Scene(NamedTuple):
    """Frames (B,3,H,W) in 0..1, flow (B,2,H,W) px x then y from frame1 to frame2, valid and occluded (B,H,W)."""

    frame1: Tensor
    frame2: Tensor
    flow: Tensor
    valid: Tensor
    occluded: Tensor


class _Layer:
    """One layer of the samples `rows` (n,): where it lies, how it moves and what it shows."""

    def __init__(self, rows: Tensor, shapes: LayerShapes | None, motion: LayerMotion, centre: Tensor,
                 texture: Tensor, texture_map: Tensor, device: torch.device, batch: int) -> None:
        self.rows = None if len(rows) == batch else rows.to(device)
        self.shapes, self.motion, self.texture = shapes, motion, texture
        self.cx, self.cy = (v.to(device)[:, None, None] for v in centre.unbind(1))
        self.map = texture_map.to(device)[..., None, None]

    def take(self, values: Tensor) -> Tensor:
        return values if self.rows is None else values[self.rows]

    def alpha(self, u: Tensor, v: Tensor, when: Moment) -> Tensor:
        """Coverage (n,H,W) at canonical coordinates."""
        distance = self.shapes.distance(u - self.cx, v - self.cy)
        return (0.5 - distance / self.motion.at(when)[2]).clamp(0, 1)

    def colour(self, u: Tensor, v: Tensor) -> Tensor:
        """Texture (n,3,H,W) at canonical coordinates."""
        m = self.map.unbind(1)
        grid = torch.stack([m[0] * u - m[1] * v + m[2], m[1] * u + m[0] * v + m[3]], -1)
        return F.grid_sample(self.texture, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _layers(rng: Rng, batch: int, height: int, width: int, options: SceneOptions) -> list[_Layer]:
    """Background first, then the layers from back to front."""
    extent = float(min(height, width))
    size = int(math.ceil(1.25 * max(height, width) / 8) * 8)
    bank = texture_bank(options.textures, size, options.kinds, options.flat_share, rng)
    magnitude = magnitudes(batch, options.max_displacement, rng, options.static_share, options.subpixel_share,
                           options.moving_shares)
    # Three sub-frames further apart than a few px would show as three ghosts.
    shutter = torch.minimum(rng.uniform((batch,), 0.1, 0.4), 2.5 / magnitude.clamp(min=1e-3))
    half = torch.full((batch,), 0.5 * math.hypot(height, width))
    # Nothing is drawn for a share of 0, so that scenes without rigid pairs do not depend on there being this option.
    rigid = rng.chance((batch,), options.rigid_share) if options.rigid_share else torch.zeros(batch, dtype=torch.bool)
    still = rng.chance((batch,), 0.25) & ~rigid
    share = torch.where(still, torch.zeros(batch), rng.uniform((batch,), 0.5, 1.0))
    camera = random_motion(magnitude * share, half, torch.zeros(batch, 2), rng)
    # The batch draws its own greatest count first, so that many batches need few passes.
    most = int(rng.integers((2,), options.min_layers, options.max_layers + 1).max())
    counts = rng.integers((batch,), options.min_layers, most + 1)
    layers = []
    for k in range(most + 1):
        rows = (counts >= k).nonzero()[:, 0] if k else torch.arange(batch)
        n = len(rows)
        if n == 0:
            break
        shapes = LayerShapes(n, extent, rng) if k else None
        centre = rng.uniform((n, 2), -0.5, 0.5) * torch.tensor([width, height])
        radius = half if shapes is None else shapes.size.clamp(min=12.0)
        # Layers differ in how fast they move; some only follow the camera, and so do most backgrounds.
        relative = rng.log_uniform((n,), *options.relative_motion) * rng.chance((n,), 0.8 if k else 0.15)
        # When the camera is still the first layer carries the pair's displacement.
        relative = torch.where(still[rows] & (k == 1), torch.ones(n), relative).masked_fill(rigid[rows], 0)
        own = random_motion(magnitude[rows] * relative, radius, centre if k else torch.zeros(n, 2), rng)
        nonrigid = rng.chance((n,), options.nonrigid_share) & ~rigid[rows]
        motion = LayerMotion(own, camera[rows], magnitude[rows], shutter[rows], nonrigid, rng)
        angle, zoom = rng.uniform((n,), 0, math.tau), 1 / rng.log_uniform((n,), *options.texture_scale)
        # The background stays near the texture's middle: its mirrored copies would put symmetries into the frame.
        reach = 0.8 if k else 0.25
        unit, offset = zoom * 2 / size, rng.uniform((n, 2), -reach, reach)
        texture_map = torch.cat([(unit * angle.cos())[:, None], (unit * angle.sin())[:, None], offset], 1)
        texture = bank[rng.integers((n,), 0, options.textures).to(rng.device)]
        layers.append(_Layer(rows, shapes, motion, centre, texture, texture_map, rng.device, batch))
    return layers


def _frame(layers: list[_Layer], x: Tensor, y: Tensor, when: Moment) -> tuple[Tensor, list[Tensor]]:
    """Composite (B,3,H,W) at a moment, and the coverage of each layer in front of the background."""
    background, *front = layers
    image, alphas = background.colour(*background.motion.canonical(x, y, when)), []
    for layer in front:
        u, v = layer.motion.canonical(layer.take(x), layer.take(y), when)
        alpha = layer.alpha(u, v, when)
        mixed = torch.lerp(layer.take(image), layer.colour(u, v), alpha[:, None])
        image = mixed if layer.rows is None else image.index_copy(0, layer.rows, mixed)
        alphas.append(alpha)
    return image, alphas


def _put(layer: _Layer, whole: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """`whole` (B,H,W) with `value` (n,H,W) where `mask` (n,H,W)."""
    merged = torch.where(mask, value, layer.take(whole))
    return merged if layer.rows is None else whole.index_copy(0, layer.rows, merged)


@torch.no_grad()
def render(seed: int, index: int, batch: int, height: int, width: int, options: SceneOptions | None = None,
           device: torch.device | str = "cpu") -> Scene:
    """Render a batch of pairs: a function of (seed, index), batch, sizes, options and the kind of device alone."""
    options = options or SceneOptions()
    rng = Rng(seed, index, device)
    layers = _layers(rng, batch, height, width, options)
    # Coordinates are about the centre, so homographies turn and scale about it.
    x = (torch.arange(width, device=rng.device) - (width - 1) / 2).expand(batch, height, width)
    y = (torch.arange(height, device=rng.device) - (height - 1) / 2)[:, None].expand(batch, height, width)
    frame1, alphas = _frame(layers, x, y, (0, 0))
    frame2, _ = _frame(layers, x, y, (1, 0))
    if bool(rng.chance((1,), options.motion_blur)):
        frame1 = (frame1 + _frame(layers, x, y, (0, -1))[0] + _frame(layers, x, y, (0, 1))[0]) / 3
        frame2 = (frame2 + _frame(layers, x, y, (1, -1))[0] + _frame(layers, x, y, (1, 1))[0]) / 3

    top = torch.zeros((batch, height, width), dtype=torch.int16, device=rng.device)
    background, *front = layers
    tx, ty = background.motion.target(x, y)
    for k, (layer, alpha) in enumerate(zip(front, alphas), 1):
        mask = alpha > 0.5
        lx, ly = layer.motion.target(layer.take(x), layer.take(y))
        tx, ty = _put(layer, tx, mask, lx), _put(layer, ty, mask, ly)
        top = _put(layer, top, mask, torch.full_like(layer.take(top), k))

    half_w, half_h = (width - 1) / 2, (height - 1) / 2
    occluded = (tx.abs() > half_w + 1e-3) | (ty.abs() > half_h + 1e-3)
    for k, layer in enumerate(front, 1):
        u, v = layer.motion.canonical(layer.take(tx), layer.take(ty), (1, 0))
        hidden = (layer.alpha(u, v, (1, 0)) > 0.5) & (layer.take(top) < k)
        occluded = _put(layer, occluded, hidden, hidden)
    flow = torch.stack([tx - x, ty - y], 1)
    if options.photometric:
        frame1, frame2 = photometric(frame1, frame2, options.clean_share, rng)
    if options.grey_share:
        frame1, frame2 = desaturated(frame1, frame2, options.grey_share, rng)
    return Scene(frame1.clamp(0, 1), frame2.clamp(0, 1), flow, known(flow), occluded)

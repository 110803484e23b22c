"""The network in PyTorch, under the state-dict names of DINOv3 and of optical_flow_dinov3.

Shapes: B pairs, frames of H x W pixels, a grid of h x w = H/patch x W/patch patches, `dim` features.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-5
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BackboneConfig:
    """A DINOv3 vision transformer (Siméoni et al., 2025)."""

    dim: int
    depth: int
    heads: int
    hidden: int
    ffn: str = "swiglu"  # or "mlp", with exact GELU
    patch: int = 16
    storage_tokens: int = 4


@dataclass(frozen=True)
class HeadConfig:
    """The light flow head; the defaults are the original's."""

    proj: int = 256
    radius: int = 4
    fusion: int = 320
    layers: int = 3
    up: int = 16
    refine: int = 2


def normalise(frames: Tensor) -> Tensor:
    """RGB in 0..1, (B, 3, H, W), to the scale that the backbone expects."""
    mean = torch.tensor(IMAGENET_MEAN, device=frames.device, dtype=frames.dtype).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=frames.device, dtype=frames.dtype).view(3, 1, 1)
    return (frames - mean) / std


# ---- backbone --------------------------------------------------------------------------------------------------------


class PatchEmbed(nn.Module):
    def __init__(self, patch: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, h*w, dim)."""
        return self.proj(frames).flatten(2).transpose(1, 2)


class RopeEmbed(nn.Module):
    """Axial rotary embedding: angles 2 pi coordinate / period, coordinates in -1..1 at the centres of the patches."""

    def __init__(self, head_dim: int):
        super().__init__()
        j = torch.arange(head_dim // 4, dtype=torch.float32)
        self.register_buffer("periods", 100 ** (2 * j / (head_dim / 2)))

    def forward(self, height: int, width: int, scale: tuple[float, float] = (1, 1)) -> tuple[Tensor, Tensor]:
        """cos and sin, each (h*w, head_dim): [y, x] twice, for the halves that rotate together.

        `scale` (y, x) multiplies the coordinates: (0.5, 1) places the grid as a crop of half the height of a frame.
        """

        def centres(n: int) -> Tensor:
            return 2 * (torch.arange(n, device=self.periods.device, dtype=torch.float32) + 0.5) / n - 1

        y, x = torch.meshgrid(centres(height), centres(width), indexing="ij")
        coordinates = torch.stack([scale[0] * y.flatten(), scale[1] * x.flatten()], 1)
        angles = (2 * math.pi * coordinates[:, :, None] / self.periods.float()).flatten(1).repeat(1, 2)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates the pairs (i, i + head_dim/2)."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class MaskedLinear(nn.Linear):
    """A linear layer whose bias is multiplied by a fixed mask: that of the keys is 0."""

    def __init__(self, dim: int):
        super().__init__(dim, 3 * dim)
        mask = torch.ones(3 * dim)
        mask[dim : 2 * dim] = 0
        self.register_buffer("bias_mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias * self.bias_mask)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = MaskedLinear(dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], prefix: int) -> Tensor:
        batch, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        cos, sin = (table.to(q.dtype) for table in rope)
        q = torch.cat([q[:, :, :prefix], rotate(q[:, :, prefix:], cos, sin)], 2)
        k = torch.cat([k[:, :, :prefix], rotate(k[:, :, prefix:], cos, sin)], 2)
        if hasattr(F, "scaled_dot_product_attention"):  # PyTorch 2
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(-1) @ v
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, dim))


class SwiGlu(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.w1 = nn.Linear(dim, hidden)
        self.w2 = nn.Linear(dim, hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.w3(F.silu(self.w1(x)) * self.w2(x))


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    def __init__(self, dim: int, initial: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, config: BackboneConfig, layer_scale: float):
        super().__init__()
        dim = config.dim
        self.norm1 = nn.LayerNorm(dim, NORM_EPSILON)
        self.attn = Attention(dim, config.heads)
        self.ls1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim, NORM_EPSILON)
        self.mlp = (SwiGlu if config.ffn == "swiglu" else Mlp)(dim, config.hidden)
        self.ls2 = LayerScale(dim, layer_scale)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], prefix: int) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), rope, prefix))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Backbone(nn.Module):
    """A DINOv3 vision transformer. Normalised frames (B, 3, H, W) to features (B, dim, h, w)."""

    def __init__(self, config: BackboneConfig, layer_scale: float = 0.1):
        """`layer_scale`: what the gains of the residual branches begin with."""
        super().__init__()
        self.config = config
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.storage_tokens = nn.Parameter(torch.zeros(1, config.storage_tokens, config.dim))
        self.patch_embed = PatchEmbed(config.patch, config.dim)
        self.rope_embed = RopeEmbed(config.dim // config.heads)
        self.blocks = nn.ModuleList(Block(config, layer_scale) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, NORM_EPSILON)
        nn.init.normal_(self.cls_token, std=0.02)
        nn.init.normal_(self.storage_tokens, std=0.02)
        for block in self.blocks:
            for layer in block.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.trunc_normal_(layer.weight, std=layer.in_features**-0.5)
                    nn.init.zeros_(layer.bias)

    def forward(self, frames: Tensor, rope_scale: tuple[float, float] = (1, 1)) -> Tensor:
        batch, _, height, width = frames.shape
        grid = height // self.config.patch, width // self.config.patch
        prefix = 1 + self.config.storage_tokens
        x = torch.cat(
            [
                self.cls_token.expand(batch, -1, -1),
                self.storage_tokens.expand(batch, -1, -1),
                self.patch_embed(frames),
            ],
            1,
        )
        rope = self.rope_embed(*grid, rope_scale)
        for block in self.blocks:
            x = block(x, rope, prefix)
        return self.norm(x)[:, prefix:].transpose(1, 2).reshape(batch, -1, *grid)


# ---- head ------------------------------------------------------------------------------------------------------------


class DsConv(nn.Module):
    """Depthwise 3x3, pointwise, batch normalisation, SiLU."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.dw = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pw = nn.Conv2d(channels, out, 1, bias=False)
        self.bn = nn.BatchNorm2d(out, NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.bn(self.pw(self.dw(x))))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        reduced = max(1, channels // 8)
        self.fc1 = nn.Conv2d(channels, reduced, 1)
        self.fc2 = nn.Conv2d(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(F.silu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Trunk(nn.Module):
    def __init__(self, channels: int, layers: int):
        super().__init__()
        self.net = nn.Sequential()
        for _ in range(layers):
            self.net.extend([DsConv(channels, channels), SqueezeExcite(channels), DsConv(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class ConvexUpsampler(nn.Module):
    """Convex upsampling (Teed & Deng, RAFT, 2020): every pixel is a weighted mean of its 3x3 coarse neighbours."""

    def __init__(self, channels: int, up: int):
        super().__init__()
        self.up = up
        self.mask_head = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 9 * up * up, 1)
        )

    def forward(self, x: Tensor, flow: Tensor) -> Tensor:
        """Flow in cells, (B, 2, h, w), to flow in pixels, (B, 2, h*up, w*up)."""
        batch, _, height, width = flow.shape
        mask = self.mask_head(x).view(batch, 1, 9, self.up, self.up, height, width).softmax(2)
        neighbours = F.unfold(flow, 3, padding=1).view(batch, 2, 9, 1, 1, height, width)
        fine = (mask * neighbours).sum(2).permute(0, 1, 4, 2, 5, 3)
        return self.up * fine.reshape(batch, 2, height * self.up, width * self.up)


class _Correlation(torch.autograd.Function):
    """`correlate` on maps whose channels are last: a (B, h, w, C), and b with a border of `radius` zeros.

    For every row y of `a` one matrix product with the 2r+1 rows of b around it, which lie one after the other:
    (w, C) x (C, side*wide). What is within the radius lies on diagonals of the result, a strided view. The gradients
    are two products of the same size; those that autograd derives are many small ones, which take some times as long.
    """

    @staticmethod
    def rows(padded: Tensor, y: int, side: int) -> Tensor:
        """Rows y to y + side - 1, (B, side*wide, C)."""
        return padded[:, y : y + side].view(len(padded), -1, padded.shape[3])

    @staticmethod
    def diagonals(products: Tensor) -> Tensor:
        """Of (B, h, w, side, wide) what is within the radius, (B, side, side, h, w): [.., dy, dx, y, x]."""
        batch, height, width, side, wide = products.shape
        row = side * wide
        strides = (height * width * row, wide, 1, width * row, row + 1)
        return products.as_strided((batch, side, side, height, width), strides)

    @staticmethod
    def forward(ctx, a: Tensor, padded: Tensor, radius: int) -> Tensor:
        ctx.save_for_backward(a, padded)
        batch, height, width, _ = a.shape
        side = 2 * radius + 1
        products = a.new_empty(batch, height, width, side, width + 2 * radius)
        for y in range(height):
            around = _Correlation.rows(padded, y, side)
            products[:, y] = torch.bmm(a[:, y], around.transpose(1, 2)).view_as(products[:, y])
        return _Correlation.diagonals(products).flatten(1, 2).contiguous()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        a, padded = ctx.saved_tensors
        batch, height, width, _ = a.shape
        wide = padded.shape[2]
        side = wide - width + 1
        products = a.new_zeros(batch, height, width, side, wide)
        _Correlation.diagonals(products).copy_(grad.unflatten(1, (side, side)))
        grad_a, grad_padded = torch.empty_like(a), torch.zeros_like(padded)
        for y in range(height):
            row = products[:, y].flatten(2)
            grad_a[:, y] = torch.bmm(row, _Correlation.rows(padded, y, side))
            _Correlation.rows(grad_padded, y, side).baddbmm_(row.transpose(1, 2), a[:, y])
        return grad_a, grad_padded, None


def correlate(a: Tensor, b: Tensor, radius: int) -> Tensor:
    """a . b(y + dy, x + dx) / sqrt(C) for |dy|, |dx| <= radius, dy before dx, zero outside: (B, (2r+1)^2, h, w)."""
    a = (a * a.shape[1] ** -0.5).permute(0, 2, 3, 1).contiguous()
    padded = F.pad(b, (radius,) * 4).permute(0, 2, 3, 1).contiguous()
    return _Correlation.apply(a, padded, radius)


class FlowPrediction(NamedTuple):
    """All that the head computes on its way. Coarse flows are in cells of the grid, `flow` is in pixels."""

    correlation: Tensor  # (B, (2r+1)^2, h, w)
    coarse: Tensor  # (B, 2, h, w)
    refined: Tensor  # (B, 2, h, w)
    flow: Tensor  # (B, 2, h*up, w*up), x then y


class FlowHead(nn.Module):
    """`LiteFlowHead` of optical_flow_dinov3. Features of two frames, (B, dim, h, w) each, to the flow between them."""

    def __init__(self, config: HeadConfig, dim: int):
        super().__init__()
        self.config = config
        self.proj1 = nn.Conv2d(dim, config.proj, 1, bias=False)
        self.proj2 = nn.Conv2d(dim, config.proj, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(config.proj, NORM_EPSILON)
        self.bn2 = nn.BatchNorm2d(config.proj, NORM_EPSILON)
        fused = 3 * config.proj + (2 * config.radius + 1) ** 2
        fusion = config.fusion
        self.fuse_in = nn.Sequential(DsConv(fused, fusion), SqueezeExcite(fusion))
        self.fuse_trunk = Trunk(fusion, config.layers)
        self.flow_head = nn.Sequential(DsConv(fusion, fusion), nn.Conv2d(fusion, 2, 1))
        if config.refine > 0:
            self.refine = nn.Sequential(
                DsConv(fusion + 2, fusion), Trunk(fusion, config.refine), nn.Conv2d(fusion, 2, 1)
            )
        self.convex_upsampler = ConvexUpsampler(fusion, config.up)

    def forward(self, features1: Tensor, features2: Tensor) -> FlowPrediction:
        f1 = F.silu(self.bn1(self.proj1(features1)))
        f2 = F.silu(self.bn2(self.proj2(features2)))
        correlation = correlate(f1, f2, self.config.radius)
        x = self.fuse_trunk(self.fuse_in(torch.cat([f1, f2, (f1 - f2).abs(), correlation], 1)))
        coarse = self.flow_head(x)
        refined = coarse + self.refine(torch.cat([x, coarse], 1)) if self.config.refine > 0 else coarse
        return FlowPrediction(correlation, coarse, refined, self.convex_upsampler(x, refined))


# ---- both ------------------------------------------------------------------------------------------------------------


class FlowNetwork(nn.Module):
    """Backbone and head. State-dict names are theirs behind `backbone.` and `head.`."""

    def __init__(self, backbone: BackboneConfig, head: HeadConfig):
        super().__init__()
        self.backbone = Backbone(backbone)
        self.head = FlowHead(head, backbone.dim)

    def forward(
        self, frame1: Tensor, frame2: Tensor, rope_scale: tuple[float, float] = (1, 1)
    ) -> FlowPrediction:
        """RGB in 0..1, (B, 3, H, W) each, H and W multiples of the patch size."""
        features1, features2 = self.backbone(normalise(torch.cat([frame1, frame2])), rope_scale).chunk(2)
        return self.head(features1, features2)


def resize_flow(flow: Tensor, height: int, width: int, mode: str = "bilinear") -> Tensor:
    """Resizes (B, 2, h, w), half-pixel centres; displacements scale with the map."""
    scale = torch.tensor([width / flow.shape[3], height / flow.shape[2]], device=flow.device, dtype=flow.dtype)
    return F.interpolate(flow * scale.view(2, 1, 1), (height, width), mode=mode)

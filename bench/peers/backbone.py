"""The DINOv3 backbone, written in PyTorch in the shape that onnxruntime's CPU kernels like best.

Everything is read from the checkpoint's shapes. The image size is fixed, so that RoPE becomes two constant tables, and
tokens are a matrix (tokens, dim), so that every linear layer becomes one Gemm with its bias.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from fused_ops import FUSED

EPS = 1e-5


class Backbone(nn.Module):
    """A normalised image (1, 3, H, W) to its features (1, dim, H / patch, W / patch)."""

    def __init__(self, weights, height, width):
        super().__init__()
        w = {name: torch.from_numpy(value) for name, value in weights.items()}
        patch = w["patch_embed.proj.weight"]
        self.dim, self.patch = patch.shape[0], patch.shape[-1]
        self.rows, self.columns = height // self.patch, width // self.patch
        self.depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
        periods = w.get("rope_embed.periods", default_periods(64))
        self.heads = self.dim // (4 * periods.numel())
        prefix = torch.cat([w["cls_token"][0], w["storage_tokens"][0]])
        cos, sin = rope_tables(periods, self.rows, self.columns, len(prefix))
        self.prefix = len(prefix)
        self.tables = Constants(prefix=prefix, cos=cos, sin=sin, positions=torch.arange(len(cos))[None])
        self.embed = Constants(weight=patch, bias=w["patch_embed.proj.bias"])
        self.blocks = nn.ModuleList(Block(w, f"blocks.{i}.", self.heads) for i in range(self.depth))
        self.norm = Constants(weight=w["norm.weight"], bias=w["norm.bias"])

    def forward(self, image):
        x = F.conv2d(image, self.embed.weight, self.embed.bias, stride=self.patch)
        x = torch.cat([self.tables.prefix, x.view(self.dim, self.rows * self.columns).t()])
        for block in self.blocks:
            x = block(x, self.tables)
        x = layer_norm(x[self.prefix :], self.norm)
        return x.t().reshape(1, self.dim, self.rows, self.columns)


class Block(nn.Module):
    def __init__(self, w, name, heads):
        super().__init__()
        self.heads = heads
        self.swiglu = name + "mlp.w1.weight" in w
        bias = w[name + "attn.qkv.bias"] * w.get(name + "attn.qkv.bias_mask", torch.ones(1))
        linear = {
            f"{part}_{kind}": value
            for kind, whole in (("weight", w[name + "attn.qkv.weight"]), ("bias", bias))
            for part, value in zip("qkv", whole.chunk(3))
        }
        # LayerScale goes into the layer before it: x += gamma * (W y + b) is x += (gamma W) y + gamma b.
        last = "mlp.w3" if self.swiglu else "mlp.fc2"
        for part, layer, gamma in (("proj", "attn.proj", "ls1.gamma"), ("last", last, "ls2.gamma")):
            linear[part + "_weight"] = w[name + gamma][:, None] * w[name + layer + ".weight"]
            linear[part + "_bias"] = w[name + gamma] * w[name + layer + ".bias"]
        for part, layer in (("gate", "mlp.w1"), ("up", "mlp.w2")) if self.swiglu else (("up", "mlp.fc1"),):
            linear[part + "_weight"], linear[part + "_bias"] = w[name + layer + ".weight"], w[name + layer + ".bias"]
        self.linear = Constants(**linear)
        self.norm1 = Constants(weight=w[name + "norm1.weight"], bias=w[name + "norm1.bias"])
        self.norm2 = Constants(weight=w[name + "norm2.weight"], bias=w[name + "norm2.bias"])

    def forward(self, x, tables):
        y = layer_norm(x, self.norm1)
        q, k, v = (self.apply_linear(part, y)[None] for part in "qkv")
        q, k = (FUSED.rotate(t, tables.positions, tables.cos, tables.sin, self.heads) for t in (q, k))
        x = x + self.apply_linear("proj", FUSED.attention(q, k, v, self.heads)[0])
        y = layer_norm(x, self.norm2)
        up = self.apply_linear("up", y)
        hidden = FUSED.silu(self.apply_linear("gate", y)) * up if self.swiglu else F.gelu(up)
        return x + self.apply_linear("last", hidden)

    def apply_linear(self, part, x):
        return F.linear(x, getattr(self.linear, part + "_weight"), getattr(self.linear, part + "_bias"))


class Constants(nn.Module):
    """Tensors that become initializers of the graph."""

    def __init__(self, **tensors):
        super().__init__()
        for name, value in tensors.items():
            self.register_buffer(name, value)


def layer_norm(x, norm):
    return F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, EPS)


def default_periods(head_size):
    return 100 ** (torch.arange(head_size // 4) * 4 / head_size)


def rope_tables(periods, rows, columns, prefix):
    """cos and sin of (tokens, head size / 2): y angles, then x angles; the prefix tokens are not rotated."""
    y, x = ((torch.arange(n) + 0.5) / n * 2 - 1 for n in (rows, columns))
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).view(-1, 2, 1)
    angles = (2 * math.pi * grid / periods).flatten(1)
    angles = torch.cat([angles.new_zeros(prefix, angles.shape[1]), angles])
    return angles.cos(), angles.sin()

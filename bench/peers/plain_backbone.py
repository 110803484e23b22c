"""The DINOv3 backbone as its published architecture reads, line by line: what an export of such code gives a user.

Tokens are (1, tokens, dim), q, k and v come from one linear layer, attention stores its scores, LayerScale is a product.
"""

import torch
import torch.nn.functional as F
from torch import nn

from backbone import EPS, Constants, default_periods, rope_tables


class PlainBackbone(nn.Module):
    """A normalised image (1, 3, H, W) to its features (1, dim, H / patch, W / patch)."""

    def __init__(self, weights, height, width):
        super().__init__()
        w = {name: torch.from_numpy(value) for name, value in weights.items()}
        self.w = Constants(**{name.replace(".", "_"): value for name, value in w.items()})
        patch = w["patch_embed.proj.weight"]
        self.dim, self.patch = patch.shape[0], patch.shape[-1]
        self.rows, self.columns = height // self.patch, width // self.patch
        self.depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
        periods = w.get("rope_embed.periods", default_periods(64))
        self.heads = self.dim // (4 * periods.numel())
        self.prefix = 1 + w["storage_tokens"].shape[1]
        cos, sin = rope_tables(periods, self.rows, self.columns, 0)
        self.tables = Constants(cos=torch.cat([cos, cos], -1), sin=torch.cat([sin, sin], -1))
        for i in range(self.depth):
            mask = w.get(f"blocks.{i}.attn.qkv.bias_mask")
            if mask is not None:
                getattr(self.w, f"blocks_{i}_attn_qkv_bias").mul_(mask)

    def forward(self, image):
        x = F.conv2d(image, self.get("patch_embed.proj.weight"), self.get("patch_embed.proj.bias"), stride=self.patch)
        x = torch.cat([self.get("cls_token"), self.get("storage_tokens"), x.flatten(2).transpose(1, 2)], 1)
        for i in range(self.depth):
            block = f"blocks.{i}."
            x = x + self.get(block + "ls1.gamma") * self.attention(block + "attn.", self.norm(block + "norm1", x))
            x = x + self.get(block + "ls2.gamma") * self.ffn(block + "mlp.", self.norm(block + "norm2", x))
        x = self.norm("norm", x)[:, self.prefix :]
        return x.transpose(1, 2).reshape(1, self.dim, self.rows, self.columns)

    def attention(self, name, x):
        tokens = x.shape[1]
        qkv = self.linear(name + "qkv", x).reshape(1, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = self.rotate(qkv[0]), self.rotate(qkv[1]), qkv[2]
        scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
        return self.linear(name + "proj", (scores.softmax(-1) @ v).transpose(1, 2).reshape(1, tokens, self.dim))

    def rotate(self, x):
        prefix, patches = x[:, :, : self.prefix], x[:, :, self.prefix :]
        a, b = patches.chunk(2, -1)
        turned = patches * self.tables.cos + torch.cat([-b, a], -1) * self.tables.sin
        return torch.cat([prefix, turned], 2)

    def ffn(self, name, x):
        if not hasattr(self.w, (name + "w1.weight").replace(".", "_")):
            return self.linear(name + "fc2", F.gelu(self.linear(name + "fc1", x)))
        return self.linear(name + "w3", F.silu(self.linear(name + "w1", x)) * self.linear(name + "w2", x))

    def norm(self, name, x):
        return F.layer_norm(x, (self.dim,), self.get(name + ".weight"), self.get(name + ".bias"), EPS)

    def linear(self, name, x):
        return F.linear(x, self.get(name + ".weight"), self.get(name + ".bias"))

    def get(self, name):
        return getattr(self.w, name.replace(".", "_"))

"""The flow head, written in PyTorch in the shape that onnxruntime's CPU kernels like best.

Batch normalisation is folded into the convolution before it. Channel counts are padded with zeros to a multiple of 8
where that keeps a depthwise convolution in onnxruntime's blocked layout.
"""

import torch
import torch.nn.functional as F
from torch import nn

from backbone import Constants
from fused_ops import PLAIN

EPS = 1e-5
BLOCK = 8
STRIPS = 5


class Head(nn.Module):
    """Two feature maps (1, dim, h, w) to the flow (1, 2, h * up, w * up) in pixels."""

    def __init__(self, weights, rows, columns, operators):
        super().__init__()
        w = {name: torch.from_numpy(value) for name, value in weights.items()}
        self.operators = operators
        plain = operators is PLAIN
        self.rows, self.columns = rows, columns
        self.channels = w["proj1.weight"].shape[0]
        offsets = w["fuse_in.0.dw.weight"].shape[0] - 3 * self.channels
        self.radius = (round(offsets**0.5) - 1) // 2
        self.project1, self.project2 = (Conv(w, f"proj{i}", f"bn{i}") for i in (1, 2))
        self.correlation = (SlicedCorrelation if plain else Correlation)(rows, columns, self.channels, self.radius)
        self.fuse_in = nn.Sequential(Separable(w, "fuse_in.0", operators), SqueezeExcite(w, "fuse_in.1", operators))
        self.trunk = trunk(w, "fuse_trunk", operators)
        self.coarse = nn.Sequential(Separable(w, "flow_head.0", operators), Conv(w, "flow_head.1"))
        self.refine = None
        if "refine.2.weight" in w:
            self.refine = nn.Sequential(
                Separable(w, "refine.0", operators), trunk(w, "refine.1", operators), Conv(w, "refine.2")
            )
        self.upsample = (UnfoldedUpsample if plain else ConvexUpsample)(w, "convex_upsampler.mask_head", rows, columns)

    def forward(self, a, b):
        f1, f2 = self.operators.silu(self.project1(a)), self.operators.silu(self.project2(b))
        parts = [f1, f2, (f1 - f2).abs(), self.correlation(f1, f2)]
        x = self.trunk(self.fuse_in(join(parts)))
        flow = self.coarse(x)
        if self.refine is not None:
            flow = flow + self.refine(join([x, flow]))
        return self.upsample(x, flow)


class Conv(nn.Module):
    """A convolution, with the batch normalisation after it folded in where one is named."""

    def __init__(self, w, name, norm=None):
        super().__init__()
        weight, bias = w[name + ".weight"], w.get(name + ".bias")
        if norm:
            scale = w[norm + ".weight"] / torch.sqrt(w[norm + ".running_var"] + EPS)
            weight, bias = weight * scale[:, None, None, None], w[norm + ".bias"] - w[norm + ".running_mean"] * scale
        self.constants = Constants(weight=weight, bias=bias)
        self.padding = weight.shape[-1] // 2

    def forward(self, x):
        return F.conv2d(x, self.constants.weight, self.constants.bias, padding=self.padding)


class Separable(nn.Module):
    """Depthwise 3x3, pointwise, batch normalisation, SiLU."""

    def __init__(self, w, name, operators):
        super().__init__()
        self.silu = operators.silu
        depthwise, pointwise = w[name + ".dw.weight"], {"pw.weight": w[name + ".pw.weight"]}
        extra = -len(depthwise) % BLOCK
        pointwise["pw.weight"] = F.pad(pointwise["pw.weight"], (0, 0, 0, 0, 0, extra))
        pointwise.update({key[len(name) + 1 :]: value for key, value in w.items() if key.startswith(name + ".bn.")})
        self.groups = len(depthwise) + extra
        self.depthwise = Constants(weight=F.pad(depthwise, (0, 0, 0, 0, 0, 0, 0, extra)))
        self.pointwise = Conv(pointwise, "pw", "bn")

    def forward(self, x):
        weight = self.depthwise.weight
        return self.silu(self.pointwise(F.conv2d(x, weight, padding=1, groups=self.groups)))


class SqueezeExcite(nn.Module):
    def __init__(self, w, name, operators):
        super().__init__()
        self.silu = operators.silu
        self.fc1, self.fc2 = Conv(w, name + ".fc1"), Conv(w, name + ".fc2")

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(self.silu(self.fc1(F.adaptive_avg_pool2d(x, 1)))))


def trunk(w, name, operators):
    layers = 1 + max(int(key[len(name) :].split(".")[2]) for key in w if key.startswith(name + ".net."))
    kinds = (Separable, SqueezeExcite, Separable)
    return nn.Sequential(*(kinds[i % 3](w, f"{name}.net.{i}", operators) for i in range(layers)))


def join(parts):
    """Concatenates maps by channel, zeros after them up to what Separable expects."""
    extra = -sum(part.shape[1] for part in parts) % BLOCK
    return torch.cat(parts + [parts[0].new_zeros(1, extra, *parts[0].shape[2:])] if extra else parts, 1)


class Correlation(nn.Module):
    """sum over channels of f1(y, x) f2(y + dy, x + dx) / sqrt(channels), for (2 radius + 1)^2 offsets, dy then dx.

    For each dy, row y of f1 times row y + dy of f2 is one small matrix product (columns, columns + 2 radius); the dx
    that belong to the window lie on its diagonals, which a constant Gather picks. Wasteful in arithmetic, but nine
    batched MatMuls are many times faster than 81 slices, products and sums.
    """

    def __init__(self, rows, columns, channels, radius):
        super().__init__()
        self.rows, self.columns, self.channels, self.radius = rows, columns, channels, radius
        self.side = 2 * radius + 1
        x, dx = torch.arange(columns), torch.arange(self.side)
        diagonals = x * (columns + 2 * radius) + x + dx[:, None]
        self.index = Constants(diagonals=diagonals.flatten())

    def forward(self, f1, f2):
        r, h, w = self.radius, self.rows, self.columns
        left = (f1[0] * self.channels**-0.5).permute(1, 2, 0)
        right = F.pad(f2, (r, r, r, r))[0].permute(1, 0, 2)
        products = torch.stack([left @ right[dy : dy + h] for dy in range(self.side)])
        picked = products.view(self.side, h, w * (w + 2 * r))[:, :, self.index.diagonals]
        return picked.view(self.side, h, self.side, w).permute(0, 2, 1, 3).reshape(1, -1, h, w)


class SlicedCorrelation(nn.Module):
    """The correlation as one writes it in PyTorch: a shifted product and its sum for every offset."""

    def __init__(self, rows, columns, channels, radius):
        super().__init__()
        self.rows, self.columns, self.channels, self.radius = rows, columns, channels, radius

    def forward(self, f1, f2):
        r, h, w = self.radius, self.rows, self.columns
        padded = F.pad(f2, (r, r, r, r))
        offsets = [(dy, dx) for dy in range(2 * r + 1) for dx in range(2 * r + 1)]
        costs = [(f1 * padded[:, :, dy : dy + h, dx : dx + w]).sum(1, keepdim=True) for dy, dx in offsets]
        return torch.cat(costs, 1) * self.channels**-0.5


class ConvexUpsample(nn.Module):
    """Every fine vector is a convex combination of its 3x3 coarse neighbours (Teed and Deng, RAFT, 2020).

    With a third row of ones under the neighbours' x and y, one MatMul over the nine taps gives the combination and the
    softmax's denominator, so that the large mask is read once after exp. It is made and used in strips of positions,
    which stay in the caches.
    """

    def __init__(self, w, name, rows, columns):
        super().__init__()
        self.rows, self.columns = rows, columns
        self.hidden = Conv(w, name + ".0")
        weight = w[name + ".2.weight"]
        self.up = round((len(weight) / 9) ** 0.5)
        self.mask = Constants(weight=weight.flatten(1), bias=w[name + ".2.bias"])
        self.ones = Constants(ones=torch.ones(rows * columns, 1, 9))

    def forward(self, x, flow):
        h, w, up = self.rows, self.columns, self.up
        tokens = torch.relu(self.hidden(x)).view(-1, h * w).t()
        padded = F.pad(flow * up, (1, 1, 1, 1))[0]
        taps = torch.stack([padded[:, i // 3 : i // 3 + h, i % 3 : i % 3 + w] for i in range(9)])
        taps = torch.cat([taps.view(9, 2, h * w).permute(2, 1, 0), self.ones.ones], 1)
        size = -(-h * w // STRIPS)
        sums = torch.cat([self.combine(*strip) for strip in zip(tokens.split(size), taps.split(size))])
        fine = (sums[:, :2] / sums[:, 2:]).view(h, w, 2, up, up)
        return fine.permute(2, 0, 3, 1, 4).reshape(1, 2, h * up, w * up)

    def combine(self, tokens, taps):
        mask = F.linear(tokens, self.mask.weight, self.mask.bias).view(-1, 9, self.up**2)
        return taps @ torch.exp(mask - mask.amax(1, keepdim=True))


class UnfoldedUpsample(nn.Module):
    """The convex upsampling as RAFT writes it: softmax over the taps of the whole mask, then a weighted sum."""

    def __init__(self, w, name, rows, columns):
        super().__init__()
        self.rows, self.columns = rows, columns
        self.hidden, self.mask = Conv(w, name + ".0"), Conv(w, name + ".2")
        self.up = round((len(w[name + ".2.weight"]) / 9) ** 0.5)

    def forward(self, x, flow):
        h, w, up = self.rows, self.columns, self.up
        mask = self.mask(torch.relu(self.hidden(x))).view(1, 1, 9, up, up, h, w).softmax(2)
        padded = F.pad(flow * up, (1, 1, 1, 1))
        taps = torch.stack([padded[:, :, i // 3 : i // 3 + h, i % 3 : i % 3 + w] for i in range(9)], 2)
        fine = (mask * taps.view(1, 2, 9, 1, 1, h, w)).sum(2)
        return fine.permute(0, 1, 4, 2, 5, 3).reshape(1, 2, h * up, w * up)

"""onnxruntime's own fused operators, which torch.onnx.export has no name for.

Each is a function with two meanings: in PyTorch it computes, in the exported graph it is one node of the domain
com.microsoft. They are what makes onnxruntime fast here: its CPU MultiHeadAttention never stores the scores. PLAIN has
what the head needs of them in standard operators, as an export without knowledge of onnxruntime has it.
"""

from types import SimpleNamespace

import torch

DOMAIN = "com.microsoft"


class MultiHeadAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(head size)) v for q, k, v of (1, tokens, dim)."""

    @staticmethod
    def forward(ctx, q, k, v, heads):
        tokens, dim = q.shape[1:]
        q, k, v = (t.view(tokens, heads, dim // heads).transpose(0, 1) for t in (q, k, v))
        scores = q @ k.transpose(1, 2) * (dim // heads) ** -0.5
        return (scores.softmax(-1) @ v).transpose(0, 1).reshape(1, tokens, dim)

    @staticmethod
    def symbolic(g, q, k, v, heads):
        # Without a bias input, and only so, the CPU kernel takes its flash path.
        return g.op(DOMAIN + "::MultiHeadAttention", q, k, v, num_heads_i=heads).setType(q.type())


class RotaryEmbedding(torch.autograd.Function):
    """Rotates the two halves of every head of x (1, tokens, dim) by the angles of cos, sin (tokens, head size / 2)."""

    @staticmethod
    def forward(ctx, x, positions, cos, sin, heads):
        tokens, half = cos.shape
        a, b = x.view(tokens, heads, 2, half).unbind(2)
        cos, sin = cos[:, None], sin[:, None]
        return torch.stack([a * cos - b * sin, b * cos + a * sin], 2).view(x.shape)

    @staticmethod
    def symbolic(g, x, positions, cos, sin, heads):
        node = g.op(DOMAIN + "::RotaryEmbedding", x, positions, cos, sin, interleaved_i=0, num_heads_i=heads)
        return node.setType(x.type())


class SiLU(torch.autograd.Function):
    """x * sigmoid(x) in one pass: onnxruntime's QuickGelu with alpha 1."""

    @staticmethod
    def forward(ctx, x):
        return x * torch.sigmoid(x)

    @staticmethod
    def symbolic(g, x):
        return g.op(DOMAIN + "::QuickGelu", x, alpha_f=1.0).setType(x.type())


FUSED = SimpleNamespace(attention=MultiHeadAttention.apply, rotate=RotaryEmbedding.apply, silu=SiLU.apply)
PLAIN = SimpleNamespace(silu=torch.nn.functional.silu)

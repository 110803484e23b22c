#pragma once

// Layouts that kernels and host agree on, in plain C++.

namespace flow::kernels {

/// Columns of matrices are padded to it: 16-byte copies need whole groups of eight elements. The padding of a GEMM's
/// left operand is finite, the padding of its weights is zero.
constexpr int column_group = 8;

constexpr int round_up(int a, int b) { return (a + b - 1) / b * b; }

/// Head sizes that attention is built for; smaller ones are padded with zeros to the next.
constexpr int padded_head_dim(int head_dim) { return head_dim <= 32 ? 32 : head_dim <= 64 ? 64 : 128; }

}  // namespace flow::kernels

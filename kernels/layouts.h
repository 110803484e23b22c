#pragma once

// Layouts that kernels and host share, in plain C++.

namespace flow::kernels {

/// Matrix columns are padded to a multiple of this: 16-byte copies need whole groups of eight elements. The padding of
/// a GEMM's left operand is finite. The padding of its weights is zero.
constexpr int column_group = 8;

constexpr int round_up(int a, int b) { return (a + b - 1) / b * b; }

// The words `excess` of the kernels' parameters. A kernel that stores float16 raises its word to the largest magnitude,
// as the bits of a float32, if that was beyond the range of float16; so does a kernel that finds a result infinite or
// NaN. The words are zero before a frame, and stay zero if all is well. They are page-locked memory of the host, which
// reads them once the frame is done: no copy, no reset and no synchronisation of their own.

/// Channels whose part of fc1 * mean a GEMM stores as one row (Squeeze in gemm.h), and channels of a block of the
/// depthwise convolution.
constexpr int squeeze_channels = 64;

/// Head sizes that attention is compiled for. A smaller head is padded with zeros to the next one.
constexpr int padded_head_dim(int head_dim) { return head_dim <= 32 ? 32 : head_dim <= 64 ? 64 : 128; }

}  // namespace flow::kernels

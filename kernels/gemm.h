#pragma once

#include "layouts.h"

// Parameters of gemm.cu: out (m x n) = epilogue(rows of `a` x `b`^T + bias).
//
// Kernels are named gemm_OP_TYPE_BMxBN: OP of the list below, TYPE f32, f16 or bf16, tile BM x BN of `gemm_tiles`.
// The grid is (ceil(n / BN), ceil(m / BM)), the block `threads`, dynamic shared memory `gemm_shared_bytes`.

namespace flow::kernels {

//   OP          a          out                                        columns of b
//   store       T          float32: y                                 as they are
//   add         T          float32: out += gain * y                   as they are
//   gelu        T          T: gelu(y)                                 as they are
//   swiglu      T          T (m x n/2): silu(gate) * up               blocks of 16: 8 of gate, the same 8 of up
//   qkv         T          T: q, k, v of every head, q, k rotated     see QkvOutput
//   silu        T          T: silu(y), and its columns' sums          as they are
//   project     float32    T: silu(y)                                 as they are
//   conv3x3     T          T: relu(y)                                 k = (tap, channel), see Convolution

struct GemmTile {
  int rows, cols;  // of the result, per block
  int threads;
  int stages;  // of shared memory: slices of k on their way
};

/// Largest first. float32 runs the last one only.
constexpr GemmTile gemm_tiles[] = {{128, 128, 256, 3}, {64, 64, 128, 4}};

/// Elements of k in a stage.
constexpr int gemm_depth(int element_bytes) { return element_bytes == 2 ? 32 : 16; }

constexpr int gemm_shared_bytes(GemmTile tile, int element_bytes) {
  return tile.stages * (tile.rows + tile.cols) * gemm_depth(element_bytes) * element_bytes;
}

/// `a` is a map of height x width pixels, one row each; row m of the product's left side is the 3x3 neighbours of pixel
/// m, zeros outside: column k is channel k % channels of tap k / channels (row-major).
struct Convolution {
  int height, width;
  int channels;  // a multiple of column_group
};

/// q, k and v, each heads x tokens x head_dim (a padded_head_dim), one after the other from `out` on, `part`
/// elements apart. Column (part * heads + head) * head_dim + d is part 0 (q), 1 (k), 2 (v). Channels of q and k are in
/// blocks of 16: 8 of the first half of the head, then the 8 that RoPE pairs them with (Su et al., RoFormer, 2021, the
/// "rotate half" form); both have the same order, so their dot products stand. v is as it is.
struct QkvOutput {
  int heads, head_dim;
  int prefix;        // tokens without a position, at the front
  float q_scale;     // multiplies q after the rotation
  const float* cos;  // (tokens - prefix) x head_dim / 2: of pair 8 * block + i
  const float* sin;
  long long part;
};

/// Sums over rows. Every block of rows leaves its own in `partial` (row blocks x n, float32); the last one to arrive
/// adds them up in order, so that the result does not depend on who was first. `arrived` (column blocks) is zero before
/// and after.
struct ColumnSums {
  float* total;  // n; null where nobody asks
  float* partial;
  unsigned* arrived;
};

struct GemmParams {
  const void* a;      // m x k, rows lda apart, aligned to 16 bytes
  const void* b;      // T: n rounded up to 64, x k, rows ldb apart, zero beyond n and k
  const float* bias;  // n rounded up to 64
  void* out;          // rows ldo apart
  int m, n, k;        // k is a multiple of column_group
  int lda, ldb, ldo;  // ldo is a multiple of 16
  const float* gain;  // add: as bias; null is 1
  Convolution conv;
  QkvOutput qkv;
  ColumnSums sums;
};

}  // namespace flow::kernels

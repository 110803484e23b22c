#pragma once

#include <span>
#include <string_view>

#include "layouts.h"

// Parameters of gemm.cu: out (m x n) = epilogue(scale * (rows of `a` x `b`^T) + bias).
//
// Kernels are named gemm_OP_TYPE_BMxBN: OP of the list below, TYPE f32, f16 or bf16, tile BM x BN of `gemm_tiles`.
// The block is `threads`, dynamic shared memory `gemm_shared_bytes` (and gemm_norm_bytes). The grid is (G, ceil(m /
// BM), ceil(n / BN) / G): the blocks of G columns of blocks run before those of the next G, so that G x BN rows of `b`
// stay in L2.

namespace flow::kernels {

//   OP          a          out                                        columns of the product
//   embed       T          float32: y, and PrefixRows before it       as they are
//   add         T          float32: out += gain * y                   as they are
//   gelu        T, norm    T: out_scale * gelu(y)                     as they are
//   swiglu      T, norm    T (m x n/2): out_scale * silu(gate) * up   see swiglu_column
//   qkv         T, norm    T: q, k, v of every head, q, k rotated     see QkvOutput
//   silu        T          T: silu(y), and its Squeeze                as they are
//   project     float32    T: silu(y)                                 as they are
//   conv3x3     T          T: relu(y)                                 k = (tap, channel), see Convolution

struct GemmTile {
  int rows, cols;  // of the result, per block
  int threads;
  int stages;          // slices of k in shared memory
  int warp_rows = 32;  // of the result, per warp
};

/// Largest first.
constexpr GemmTile gemm_tiles[] = {
    {256, 192, 256, 3, 64}, {128, 192, 128, 3, 64}, {128, 128, 128, 3, 64}, {128, 64, 128, 3}, {64, 64, 128, 4}};

/// Whether a thread's accumulators leave few registers for anything else. Only swiglu has such tiles, in 16 bits, from
/// compute capability 8.0 on: a product that pays for the machine code, with an epilogue that loads nothing.
constexpr bool is_wide(GemmTile tile) { return tile.cols > 128; }

/// The tiles that a kernel is compiled for, in an image for a compute capability, 80 for 8.0. float32 has the last one
/// only.
constexpr std::span<const GemmTile> gemm_tiles_of(std::string_view op, int element_bytes, int capability) {
  const std::span<const GemmTile> all = gemm_tiles;
  if (element_bytes == 4) return all.last(1);
  return op == "swiglu" && capability >= 80 ? all : all.subspan(2);
}
static_assert(is_wide(gemm_tiles[1]) && !is_wide(gemm_tiles[2]));

/// The row of `b` with the weights of a column of the product. A lane of an mma has two of every eight columns. With
/// the rows in this order it has four of every 16 that follow each other in the result.
constexpr int gemm_row(int column) { return column / 16 * 16 + column % 4 / 2 * 8 + column % 16 / 4 * 2 + column % 2; }

/// What a column of swiglu's product is: column `hidden` of gate or up. Columns come in fours, two of gate and the same
/// two of up. Those of 32 that one lane has make four neighbours of the result.
struct SwigluColumn {
  int hidden;
  bool is_up;
};
constexpr SwigluColumn swiglu_column(int column) {
  return {column / 32 * 16 + column % 16 / 4 * 4 + column % 32 / 16 * 2 + column % 2, column % 4 >= 2};
}

/// Elements of k in a stage.
constexpr int gemm_depth(int element_bytes) { return element_bytes == 2 ? 32 : 16; }

constexpr int gemm_shared_bytes(GemmTile tile, int element_bytes) {
  return tile.stages * (tile.rows + tile.cols) * gemm_depth(element_bytes) * element_bytes;
}

/// Dynamic shared memory behind that, of the kernels that normalise (RowNorm).
constexpr int gemm_norm_bytes(GemmTile tile) { return tile.rows * 2 * static_cast<int>(sizeof(float)); }

/// `a` is a map of height x width pixels, one row each. The left operand is its im2col matrix. Row m holds the 3x3
/// neighbours of pixel m, zeros outside the map. Column k is channel k % channels of tap k / channels (taps are
/// row-major).
struct Convolution {
  int height, width;
  int channels;  // a multiple of column_group
};

/// q, k and v follow each other from `out` on, `part` elements apart. Each is heads x tokens x head_dim, where head_dim
/// is a padded_head_dim. Column (part * heads + head) * head_dim + d belongs to part 0 (q), 1 (k) or 2 (v). The
/// channels of q and k come in fours: two of the first half of the head, then the two that RoPE pairs with them (Su et
/// al., RoFormer, 2021, the "rotate half" form). q and k have the same order, so their dot products do not change. v
/// keeps its order.
struct QkvOutput {
  int heads, head_dim;
  int tokens;        // of an image; m is one or two images
  int prefix;        // tokens at the front of an image that have no position
  float scale[3];    // multiplies q after the rotation, k, and v
  const float* cos;  // (tokens - prefix) x head_dim / 2
  const float* sin;
  long long part;  // elements of q, of k and of v of an image
};

/// The first half of a squeeze-and-excitation: row i of `squeezed` is fc1 mean over the columns from
/// i * squeeze_channels on, where mean is that of a column. Every block of rows writes the sums of its columns to
/// `partial` (row blocks x n, float32). The last block of some columns to arrive adds them up in order, so the result
/// does not depend on the order of arrival. `arrived` (one counter per column block) is zero before and after.
struct Squeeze {
  float* squeezed;  // ceil(n / squeeze_channels) x reduced, rows ld apart; null if there is none
  int reduced, ld;
  const float* fc1;  // reduced x n
  float* partial;
  unsigned* arrived;
};

/// Rows that `embed` copies to before `out`. The first row of blocks does it, each block its columns.
struct PrefixRows {
  const float* rows;  // count x n, without padding
  int count;
};

/// Columns of a row of the residual stream whose mean is computed at once.
constexpr int moment_group = 64;

/// What `embed` and `add` write beside their result, for the norm of its rows that follows.
struct ResidualOutput {
  void* operands;  // T: the result, rounded; rows ld_operands apart; null if T is float32
  /// Mean, and sum of squared deviations from it, of columns [64 i, 64 i + 64) of the row: numbers 2 i and 2 i + 1.
  /// Rows are ld_moments apart.
  float* moments;
  int ld_operands, ld_moments;
};

/// The norm of the rows of `a`, which are x: (x - mean) / sqrt(variance + epsilon). Its gamma and beta are parts of `b`
/// and `bias`. The product of x - mean is that of x less mean times the sum of a row of `b`, so the norm is done when
/// the product is.
struct RowNorm {
  const float* moments;  // as ResidualOutput; null if the rows of `a` are normalised already
  const float* sums;     // for each column of the product, of its row of `b` as it is rounded, times `scale`; or null
  int ld_moments;
  int cols;  // of x, without padding
  float epsilon;
  float limit;  // of |x|
  /// See layouts.h. Finite if |x| may be above `limit`, or if a row has too large a mean beside its deviation: then the
  /// norm must be a stage of its own. Infinite if that does not help.
  unsigned* excess;
};

struct GemmParams {
  const void* a;      // m x k, rows lda apart, aligned to 16 bytes
  const void* b;      // T: n (rounded up to 64) x k, rows ldb apart, in the order of gemm_row, zero beyond n and k
  const float* bias;  // n, rounded up to 64
  void* out;          // rows ldo apart
  int m, n, k;        // k is a multiple of column_group
  int lda, ldb, ldo;  // ldo is a multiple of 16
  const float* gain;  // add: as long as bias; null means 1
  /// Powers of two, exact. `scale` undoes those of `a` and `b`; `out_scale` keeps `out` in the range of float16.
  float scale, out_scale;
  unsigned* excess;  // see layouts.h; of qkv three words: q, k, v
  Convolution conv;
  QkvOutput qkv;
  Squeeze squeeze;
  PrefixRows prefix;
  ResidualOutput residual;
  RowNorm norm;
};

}  // namespace flow::kernels

#pragma once

// The main loop of every matrix product: accumulators (rows x cols of a block) = A B^T. A and B are row-major, with k
// in the columns.
//
// The loop walks k in slices of 64 bytes per row. A slice's row is four chunks of 16 bytes: 32 elements of 16 bits, or
// 16 of float32. Shared memory holds a ring buffer of `stages` slices; while one is used, `stages - 1` are being
// copied. There is one barrier per slice. Chunk c of row r lies in slot 4 r + (c ^ r / 2 % 4). So eight rows of one
// chunk lie in all 32 banks, which is how ldmatrix and the float32 loads read them.
//
// A warp computes 16 row_tiles rows x 8 col_tiles columns, in tiles of 16 x 8. The accumulators are the D fragments of
// mma.m16n8k16 (ptx.cuh). The FMAs of float32 keep that layout, so epilogues do not depend on the type. With g = lane /
// 4 and t = lane % 4, acc[i][j] holds rows 16 i + g and 16 i + g + 8, columns 8 j + 2t and 8 j + 2t + 1.
//
// A source loads the slices of one operand:
//   start(to, slice)   starts the copy of the slice to shared memory, or loads it into registers
//   finish(to)         stores the registers to shared memory; called after the arithmetic of one slice
// Slices are loaded in order, but `slice` alone says which one is meant.

#include "gemm.h"
#include "ptx.cuh"

namespace flow::kernels {

/// A block's tile of the result, and its division among the warps.
template <class Element, GemmTile tile>
struct GemmBlock {
  using T = Element;

  static constexpr int rows = tile.rows, cols = tile.cols, threads = tile.threads, stages = tile.stages;
  static constexpr int chunk = 16 / sizeof(T);
  static constexpr int depth = gemm_depth(sizeof(T));
  static constexpr int row_tiles = tile.warp_rows / 16;
  static constexpr int warp_rows = rows / (16 * row_tiles);
  static constexpr int warp_cols = threads / warp_size / warp_rows;
  static constexpr int col_tiles = cols / warp_cols / 8;
  static constexpr int stage = (rows + cols) * depth;  // elements of a stage: the rows of A, then those of B

  static_assert(depth == 4 * chunk);
  static_assert(warp_rows * warp_cols * warp_size == threads && warp_cols * col_tiles * 8 == cols);

  using Accumulators = float[row_tiles][col_tiles][4];

  /// First row and column of the warp's part, within the block.
  static DEVICE int warp_row() { return warp_id() % warp_rows * 16 * row_tiles; }
  static DEVICE int warp_col() { return warp_id() / warp_rows * 8 * col_tiles; }
  /// Index of the block's columns. The grid walks panels of columns: gridDim.x of them for all rows, then the next.
  static DEVICE int col_block() { return static_cast<int>(blockIdx.z * gridDim.x + blockIdx.x); }
  /// Of the thread's acc[0][0][0]: its row in the result, and the row of `b` that it is a product of.
  static DEVICE int first_row() { return static_cast<int>(blockIdx.y) * rows + warp_row() + lane_id() / 4; }
  static DEVICE int first_b_row() { return col_block() * cols + warp_col() + lane_id() % 4 * 2; }
};

/// The chunks of a slice of `Rows` rows that one thread loads: the same chunk of every `step`th row.
template <class Block, int Rows>
struct ThreadChunks {
  static constexpr int step = Block::threads / 4;
  static constexpr int count = (Rows + step - 1) / step;

  static DEVICE int row(int i) { return static_cast<int>(threadIdx.x) / 4 + i * step; }
  static DEVICE bool has(int i) { return Rows % step == 0 || row(i) < Rows; }
  /// The chunk's first element, counted along k within the slice.
  static DEVICE int element() { return static_cast<int>(threadIdx.x) % 4 * Block::chunk; }
  /// The chunk's place in the slice in shared memory, in elements.
  static DEVICE int slot(int i) {
    const int r = row(i), c = static_cast<int>(threadIdx.x) % 4;
    return (4 * r + (c ^ r / 2 % 4)) * Block::chunk;
  }
};

/// Source that copies the rows of a matrix as they are, `stride` elements apart. Rows from `limit` on and columns from
/// `k` on become zero.
template <class Block, int Rows>
class RowSource {
 public:
  using T = typename Block::T;

  DEVICE RowSource(const void* matrix, int stride, int first, int limit, int k) : rows_(limit - first), k_(k) {
#pragma unroll
    for (int i = 0; i < chunks::count; i++) {
      const int row = chunks::row(i) < rows_ ? first + chunks::row(i) : 0;
      from_[i] = static_cast<const T*>(matrix) + static_cast<std::ptrdiff_t>(row) * stride;
    }
  }

  DEVICE void start(T* to, int slice) {
    const int k = slice * Block::depth + chunks::element();
    const bool inside = k < k_;
    const int column = inside ? k : 0;
#pragma unroll
    for (int i = 0; i < chunks::count; i++) {
      if (chunks::has(i)) cp_async16(to + chunks::slot(i), from_[i] + column, inside && chunks::row(i) < rows_);
    }
  }
  DEVICE void finish(T*) {}

 private:
  using chunks = ThreadChunks<Block, Rows>;

  const T* from_[chunks::count];
  int rows_, k_;
};

/// acc += one slice.
template <class Block>
DEVICE void multiply_slice(const typename Block::T* stage, typename Block::Accumulators& acc) {
  using T = typename Block::T;
  const int lane = lane_id();
  const T* const a = stage + Block::warp_row() * Block::depth;
  const T* const b = stage + (Block::rows + Block::warp_col()) * Block::depth;

  if constexpr (sizeof(T) == 2) {
    // A warp's rows and columns begin at multiples of eight, so row / 2 % 4 depends on the lane alone.
    const T* const a_row = a + lane % 16 * Block::depth;
    const T* const b_row = b + (lane % 8 + lane / 16 * 8) * Block::depth;
    const T* const b_last = b + ((Block::col_tiles - 1) * 8 + lane % 8) * Block::depth;
    const int swizzle = lane / 2 % 4;
#pragma unroll
    for (int step = 0; step < 2; step++) {
      const int a_chunk = ((2 * step + lane / 16) ^ swizzle) * Block::chunk;
      const int b_chunk = ((2 * step + lane / 8 % 2) ^ swizzle) * Block::chunk;
      std::uint32_t x[Block::row_tiles][4];
#pragma unroll
      for (int i = 0; i < Block::row_tiles; i++) ldmatrix_x4(x[i], a_row + i * 16 * Block::depth + a_chunk);
#pragma unroll
      for (int j = 0; j + 1 < Block::col_tiles; j += 2) {
        std::uint32_t y[4];
        ldmatrix_x4(y, b_row + j * 8 * Block::depth + b_chunk);
#pragma unroll
        for (int i = 0; i < Block::row_tiles; i++) {
          mma16816<T>(acc[i][j], x[i], y[0], y[1]);
          mma16816<T>(acc[i][j + 1], x[i], y[2], y[3]);
        }
      }
      if constexpr (Block::col_tiles % 2 != 0) {
        std::uint32_t y[2];
        ldmatrix_x2(y, b_last + b_chunk);
#pragma unroll
        for (int i = 0; i < Block::row_tiles; i++) {
          mma16816<T>(acc[i][Block::col_tiles - 1], x[i], y[0], y[1]);
        }
      }
    }
  } else {
    const int g = lane / 4, t = lane % 4;
    const auto load = [](const T* rows, int row, int chunk) {
      return *reinterpret_cast<const float4*>(rows + (4 * row + (chunk ^ row / 2 % 4)) * Block::chunk);
    };
    const auto dot = [](float& sum, float4 x, float4 y) {
      sum = fmaf(x.w, y.w, fmaf(x.z, y.z, fmaf(x.y, y.y, fmaf(x.x, y.x, sum))));
    };
#pragma unroll
    for (int chunk = 0; chunk < 4; chunk++) {
      float4 x[Block::row_tiles][2];
#pragma unroll
      for (int i = 0; i < Block::row_tiles; i++) {
        x[i][0] = load(a, 16 * i + g, chunk);
        x[i][1] = load(a, 16 * i + g + 8, chunk);
      }
#pragma unroll
      for (int j = 0; j < Block::col_tiles; j++) {
        const float4 y0 = load(b, 8 * j + 2 * t, chunk), y1 = load(b, 8 * j + 2 * t + 1, chunk);
#pragma unroll
        for (int i = 0; i < Block::row_tiles; i++) {
          dot(acc[i][j][0], x[i][0], y0);
          dot(acc[i][j][1], x[i][0], y1);
          dot(acc[i][j][2], x[i][1], y0);
          dot(acc[i][j][3], x[i][1], y1);
        }
      }
    }
  }
}

struct Nothing {
  DEVICE void operator()() const {}
};

/// acc += A B^T over all of k. `shared` has room for all stages. Any other use of `shared` needs a barrier first.
/// `meanwhile` runs while the first slices are on their way; a barrier follows it.
template <class Block, class A, class B, class Meanwhile = Nothing>
DEVICE void multiply(A& a, B& b, int k, typename Block::T* shared, typename Block::Accumulators& acc,
                     const Meanwhile& meanwhile = {}) {
  using T = typename Block::T;
  const int slices = ceil_div(k, Block::depth);
  const auto stage = [&](int slice) { return shared + slice % Block::stages * Block::stage; };

#pragma unroll
  for (int slice = 0; slice < Block::stages - 1; slice++) {
    if (slice < slices) {
      T* const to = stage(slice);
      a.start(to, slice);
      b.start(to + Block::rows * Block::depth, slice);
      a.finish(to);
      b.finish(to + Block::rows * Block::depth);
    }
    cp_async_commit();
  }

  meanwhile();
  for (int slice = 0; slice < slices; slice++) {
    cp_async_wait<Block::stages - 2>();
    __syncthreads();  // this slice has arrived; `next` may overwrite the previous slice
    const int next = slice + Block::stages - 1;
    T* const to = stage(next);
    if (next < slices) {
      a.start(to, next);
      b.start(to + Block::rows * Block::depth, next);
    }
    cp_async_commit();
    multiply_slice<Block>(stage(slice), acc);
    if (next < slices) {
      a.finish(to);
      b.finish(to + Block::rows * Block::depth);
    }
  }
}

}  // namespace flow::kernels

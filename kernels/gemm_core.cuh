#pragma once

// The main loop of every matrix product: sums (rows x cols of a block) = A B^T, both row-major with k in the columns.
//
// k is walked in slices of 64 bytes, four chunks of 16 bytes per row: 32 elements of 16 bits, 16 of float32. A ring of
// slices lies in shared memory, `stages - 1` of them on their way while one is used; one barrier per slice. Chunk c of
// row r lies in slot 4 r + (c ^ r / 2 % 4), so that eight rows of one chunk, which is what ldmatrix and the loads of
// float32 ask for, are in all 32 banks.
//
// A warp makes 32 rows x 8 col_tiles columns, in tiles of 16 x 8. Sums are the D fragments of mma.m16n8k16 (ptx.cuh),
// of float32 too, where FMAs make them: with g = lane / 4 and t = lane % 4, sums[i][j] are rows 16 i + g and
// 16 i + g + 8, columns 8 j + 2t and 8 j + 2t + 1. So epilogues do not know which it was.
//
// What brings slices is a source:
//   start(to, slice)   sends the slice to shared memory, or to registers
//   finish(to)         stores what is in registers; called when a slice's worth of arithmetic has gone by
// Slices come in order, but `slice` says all.

#include "gemm.h"
#include "ptx.cuh"

namespace flow::kernels {

/// A block's share of the result, and how its warps divide it.
template <class Element, GemmTile tile>
struct GemmBlock {
  using T = Element;

  static constexpr int rows = tile.rows, cols = tile.cols, threads = tile.threads, stages = tile.stages;
  static constexpr int chunk = 16 / sizeof(T);
  static constexpr int depth = gemm_depth(sizeof(T));
  static constexpr int row_tiles = 2;
  static constexpr int warp_rows = rows / (16 * row_tiles);
  static constexpr int warp_cols = threads / warp_size / warp_rows;
  static constexpr int col_tiles = cols / warp_cols / 8;
  static constexpr int stage = (rows + cols) * depth;  // elements: rows of A, then of B

  static_assert(depth == 4 * chunk);
  static_assert(warp_rows * warp_cols * warp_size == threads && warp_cols * col_tiles * 8 == cols);

  using Sums = float[row_tiles][col_tiles][4];

  /// Where the warp's part begins.
  static DEVICE int warp_row() { return warp_id() % warp_rows * 16 * row_tiles; }
  static DEVICE int warp_col() { return warp_id() / warp_rows * 8 * col_tiles; }
  /// Row and column, in the result, of the thread's sums[0][0][0].
  static DEVICE int first_row() { return static_cast<int>(blockIdx.y) * rows + warp_row() + lane_id() / 4; }
  static DEVICE int first_col() { return static_cast<int>(blockIdx.x) * cols + warp_col() + lane_id() % 4 * 2; }
};

/// The chunks of a slice of `Rows` rows that one thread brings: the same one of every `step`th row.
template <class Block, int Rows>
struct Share {
  static constexpr int step = Block::threads / 4;
  static constexpr int count = (Rows + step - 1) / step;

  static DEVICE int row(int i) { return static_cast<int>(threadIdx.x) / 4 + i * step; }
  static DEVICE bool has(int i) { return Rows % step == 0 || row(i) < Rows; }
  /// Element of k, in the slice, that the chunk begins with.
  static DEVICE int element() { return static_cast<int>(threadIdx.x) % 4 * Block::chunk; }
  /// Element of the slice in shared memory.
  static DEVICE int slot(int i) {
    const int r = row(i), c = static_cast<int>(threadIdx.x) % 4;
    return (4 * r + (c ^ r / 2 % 4)) * Block::chunk;
  }
};

/// Source of rows as they are in memory, `stride` elements apart. Rows from `limit` and columns from `k` on are zero.
template <class Block, int Rows>
class RowSource {
 public:
  using T = typename Block::T;

  DEVICE RowSource(const void* matrix, int stride, int first, int limit, int k) : rows_(limit - first), k_(k) {
#pragma unroll
    for (int i = 0; i < share::count; i++) {
      const int row = share::row(i) < rows_ ? first + share::row(i) : 0;
      from_[i] = static_cast<const T*>(matrix) + static_cast<std::ptrdiff_t>(row) * stride + share::element();
    }
  }

  DEVICE void start(T* to, int slice) {
    const int k = slice * Block::depth;
    const bool inside = k + share::element() < k_;
#pragma unroll
    for (int i = 0; i < share::count; i++) {
      if (share::has(i)) cp_async16(to + share::slot(i), from_[i] + k, inside && share::row(i) < rows_);
    }
  }
  DEVICE void finish(T*) {}

 private:
  using share = Share<Block, Rows>;

  const T* from_[share::count];
  int rows_, k_;
};

/// sums += one slice.
template <class Block>
DEVICE void multiply_slice(const typename Block::T* stage, typename Block::Sums& sums) {
  using T = typename Block::T;
  const int lane = lane_id();
  const T* const a = stage + Block::warp_row() * Block::depth;
  const T* const b = stage + (Block::rows + Block::warp_col()) * Block::depth;

  if constexpr (sizeof(T) == 2) {
    // The parts of a warp begin at multiples of eight rows, so row / 2 % 4 is the lane's alone.
    const T* const a_row = a + lane % 16 * Block::depth;
    const T* const b_row = b + (lane % 8 + lane / 16 * 8) * Block::depth;
    const T* const b_last = b + ((Block::col_tiles - 1) * 8 + lane % 8) * Block::depth;
    const int key = lane / 2 % 4;
#pragma unroll
    for (int step = 0; step < 2; step++) {
      const int a_chunk = ((2 * step + lane / 16) ^ key) * Block::chunk;
      const int b_chunk = ((2 * step + lane / 8 % 2) ^ key) * Block::chunk;
      std::uint32_t x[Block::row_tiles][4];
#pragma unroll
      for (int i = 0; i < Block::row_tiles; i++) ldmatrix_x4(x[i], a_row + i * 16 * Block::depth + a_chunk);
#pragma unroll
      for (int j = 0; j + 1 < Block::col_tiles; j += 2) {
        std::uint32_t y[4];
        ldmatrix_x4(y, b_row + j * 8 * Block::depth + b_chunk);
#pragma unroll
        for (int i = 0; i < Block::row_tiles; i++) {
          mma16816<T>(sums[i][j], x[i], y[0], y[1]);
          mma16816<T>(sums[i][j + 1], x[i], y[2], y[3]);
        }
      }
      if constexpr (Block::col_tiles % 2 != 0) {
        std::uint32_t y[2];
        ldmatrix_x2(y, b_last + b_chunk);
#pragma unroll
        for (int i = 0; i < Block::row_tiles; i++) {
          mma16816<T>(sums[i][Block::col_tiles - 1], x[i], y[0], y[1]);
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
          dot(sums[i][j][0], x[i][0], y0);
          dot(sums[i][j][1], x[i][0], y1);
          dot(sums[i][j][2], x[i][1], y0);
          dot(sums[i][j][3], x[i][1], y1);
        }
      }
    }
  }
}

/// sums += A B^T over k. `shared` has room for all stages; another use of it needs a barrier first.
template <class Block, class A, class B>
DEVICE void multiply(A& a, B& b, int k, typename Block::T* shared, typename Block::Sums& sums) {
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

  for (int slice = 0; slice < slices; slice++) {
    cp_async_wait<Block::stages - 2>();
    __syncthreads();  // this slice is there, and the last one's stage, which the next one gets, is free
    const int next = slice + Block::stages - 1;
    T* const to = stage(next);
    if (next < slices) {
      a.start(to, next);
      b.start(to + Block::rows * Block::depth, next);
    }
    cp_async_commit();
    multiply_slice<Block>(stage(slice), sums);
    if (next < slices) {
      a.finish(to);
      b.finish(to + Block::rows * Block::depth);
    }
  }
}

}  // namespace flow::kernels

#pragma once

// Where the left operand of a GEMM comes from (gemm_core.cuh says what a source does).

#include "gemm_core.cuh"

namespace flow::kernels {

/// Rows of T.
template <class Block>
struct Rows : RowSource<Block, Block::rows> {
  DEVICE explicit Rows(const GemmParams& p)
      : RowSource<Block, Block::rows>(p.a, p.lda, static_cast<int>(blockIdx.y) * Block::rows, p.m, p.k) {}
};

/// Rows of float32, rounded to T on their way. Rows beyond m are copies of the first, as nobody stores what comes of
/// them; so are columns beyond k, where the other operand is zero. Then no load waits for a comparison.
template <class Block>
class RoundedRows {
 public:
  using T = typename Block::T;

  DEVICE explicit RoundedRows(const GemmParams& p) : k_(p.k) {
#pragma unroll
    for (int i = 0; i < share::count; i++) {
      const int row = static_cast<int>(blockIdx.y) * Block::rows + share::row(i);
      from_[i] = static_cast<const float*>(p.a) + static_cast<std::ptrdiff_t>(row < p.m ? row : 0) * p.lda;
    }
  }

  DEVICE void start(T*, int slice) {
    const int k = slice * Block::depth + share::element();
#pragma unroll
    for (int i = 0; i < share::count; i++) load8(from_[i] + (k < k_ ? k : 0), held_[i]);
  }
  DEVICE void finish(T* to) {
#pragma unroll
    for (int i = 0; i < share::count; i++) store8(to + share::slot(i), held_[i]);
  }

 private:
  using share = Share<Block, Block::rows>;
  static_assert(Block::chunk == 8 && Block::rows % share::step == 0);

  const float* from_[share::count];
  int k_;
  float held_[share::count][8];
};

template <class Block>
using FloatRows = std::conditional_t<sizeof(typename Block::T) == 4, Rows<Block>, RoundedRows<Block>>;

/// The 3x3 neighbours of pixels (Convolution in gemm.h). A chunk is of one tap, because channels come in groups of
/// eight: a piece of the shifted pixel's row, or zeros.
template <class Block>
class Neighbours {
 public:
  using T = typename Block::T;

  DEVICE explicit Neighbours(const GemmParams& p) : map_(p.conv), stride_(p.lda), k_(p.k) {
#pragma unroll
    for (int i = 0; i < share::count; i++) {
      const int row = static_cast<int>(blockIdx.y) * Block::rows + share::row(i);
      x_[i] = row % map_.width;
      y_[i] = row / map_.width;
      from_[i] = static_cast<const T*>(p.a) + static_cast<std::ptrdiff_t>(row) * stride_;
    }
  }

  DEVICE void start(T* to, int slice) {
    const int k = slice * Block::depth + share::element();
    const int tap = k / map_.channels, channel = k - tap * map_.channels;
    const int dy = tap / 3 - 1, dx = tap % 3 - 1;
    const std::ptrdiff_t shift = static_cast<std::ptrdiff_t>(dy * map_.width + dx) * stride_ + channel;
#pragma unroll
    for (int i = 0; i < share::count; i++) {
      const int y = y_[i] + dy, x = x_[i] + dx;
      const bool inside = y >= 0 && y < map_.height && x >= 0 && x < map_.width;
      cp_async16(to + share::slot(i), from_[i] + shift, inside && k < k_);
    }
  }
  DEVICE void finish(T*) {}

 private:
  using share = Share<Block, Block::rows>;
  static_assert(Block::rows % share::step == 0);

  Convolution map_;
  int stride_, k_;
  int x_[share::count], y_[share::count];
  const T* from_[share::count];
};

}  // namespace flow::kernels

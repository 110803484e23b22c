#pragma once

// Sources of the GEMM's left operand. gemm_core.cuh describes the interface of a source.

#include "gemm_core.cuh"

namespace flow::kernels {

/// Rows of T, copied as they are.
template <class Block>
struct Rows : RowSource<Block, Block::rows> {
  DEVICE explicit Rows(const GemmParams& p)
      : RowSource<Block, Block::rows>(p.a, p.lda, static_cast<int>(blockIdx.y) * Block::rows, p.m, p.k) {}
};

/// Rows of float32, rounded to T between load and store. They are features, whose range layer_norm has checked. Rows
/// beyond m repeat row 0: nobody stores their results. Columns beyond k repeat column 0: the other operand is zero
/// there. So no load waits for a comparison.
template <class Block>
class RoundedRows {
 public:
  using T = typename Block::T;

  DEVICE explicit RoundedRows(const GemmParams& p) : k_(p.k) {
#pragma unroll
    for (int i = 0; i < chunks::count; i++) {
      const int row = static_cast<int>(blockIdx.y) * Block::rows + chunks::row(i);
      from_[i] = static_cast<const float*>(p.a) + static_cast<std::ptrdiff_t>(row < p.m ? row : 0) * p.lda;
    }
  }

  DEVICE void start(T*, int slice) {
    const int k = slice * Block::depth + chunks::element();
#pragma unroll
    for (int i = 0; i < chunks::count; i++) load8(from_[i] + (k < k_ ? k : 0), values_[i]);
  }
  DEVICE void finish(T* to) {
#pragma unroll
    for (int i = 0; i < chunks::count; i++) store8(to + chunks::slot(i), values_[i]);
  }

 private:
  using chunks = ThreadChunks<Block, Block::rows>;
  static_assert(Block::chunk == 8 && Block::rows % chunks::step == 0);

  const float* from_[chunks::count];
  int k_;
  float values_[chunks::count][8];
};

template <class Block>
using FloatRows = std::conditional_t<sizeof(typename Block::T) == 4, Rows<Block>, RoundedRows<Block>>;

/// The im2col rows of a 3x3 convolution (Convolution in gemm.h), which are never in global memory. A chunk belongs to
/// one tap, because channels come in groups of eight. It is a part of the shifted pixel's row, or zeros.
template <class Block>
class Im2col {
 public:
  using T = typename Block::T;

  DEVICE explicit Im2col(const GemmParams& p)
      : map_start_(static_cast<const T*>(p.a)), map_(p.conv), stride_(p.lda), k_(p.k) {
#pragma unroll
    for (int i = 0; i < chunks::count; i++) {
      const int row = static_cast<int>(blockIdx.y) * Block::rows + chunks::row(i);
      x_[i] = row % map_.width;
      y_[i] = row / map_.width;
      from_[i] = static_cast<const T*>(p.a) + static_cast<std::ptrdiff_t>(row) * stride_;
    }
  }

  DEVICE void start(T* to, int slice) {
    const int k = slice * Block::depth + chunks::element();
    const int tap = k / map_.channels, channel = k - tap * map_.channels;
    const int dy = tap / 3 - 1, dx = tap % 3 - 1;
    const std::ptrdiff_t shift = static_cast<std::ptrdiff_t>(dy * map_.width + dx) * stride_ + channel;
#pragma unroll
    for (int i = 0; i < chunks::count; i++) {
      const int y = y_[i] + dy, x = x_[i] + dx;
      const bool inside = y >= 0 && y < map_.height && x >= 0 && x < map_.width;
      const bool valid = inside && k < k_;
      cp_async16(to + chunks::slot(i), valid ? from_[i] + shift : map_start_, valid);
    }
  }
  DEVICE void finish(T*) {}

 private:
  using chunks = ThreadChunks<Block, Block::rows>;
  static_assert(Block::rows % chunks::step == 0);

  const T* map_start_;
  Convolution map_;
  int stride_, k_;
  int x_[chunks::count], y_[chunks::count];
  const T* from_[chunks::count];
};

}  // namespace flow::kernels

#pragma once

// Mean and variance of rows of the residual stream, in parts. A product that writes the rows holds a part of each in
// every block; the product that normalises them combines the parts. Both are exact as long as parts combine by Chan's
// formula (Chan, Golub & LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979):
// sums of squares would lose a small variance beside a large mean. The order is fixed, so equal rows give equal bits.

#include "gemm_core.cuh"

namespace flow::kernels {

/// Of some numbers: how many, their mean, and the sum of their squared deviations from it.
struct Moments {
  float count = 0.F, mean = 0.F, squares = 0.F;

  DEVICE void add(const Moments& other) {
    const float total = count + other.count;
    if (total == 0.F) return;
    const float difference = other.mean - mean, share = other.count / total;
    mean += difference * share;
    squares += other.squares + difference * difference * (count * share);
    count = total;
  }
  /// Adds those of the lanes whose number differs in the bits below `lanes`, a power of two. Lane 0 of them has the
  /// result.
  DEVICE void add_lanes(int lanes) {
    for (int bit = 1; bit < lanes; bit *= 2) {
      add({__shfl_xor_sync(0xffffffffU, count, bit), __shfl_xor_sync(0xffffffffU, mean, bit),
           __shfl_xor_sync(0xffffffffU, squares, bit)});
    }
  }
};

/// The moments of numbers that come one after the other. Squares are of distances to the first number, which is near
/// the mean where a variance could be lost.
class RunningMoments {
 public:
  DEVICE void note(float x) {
    if (count_ == 0.F) first_ = x;
    const float d = x - first_;
    sum_ += d;
    squares_ += d * d;
    count_ += 1.F;
  }
  DEVICE Moments moments() const {
    if (count_ == 0.F) return {};
    const float mean = sum_ / count_;
    return {count_, first_ + mean, fmaxf(squares_ - sum_ * mean, 0.F)};
  }

 private:
  float count_ = 0.F, first_ = 0.F, sum_ = 0.F, squares_ = 0.F;
};

DEVICE float2* moments_of(const ResidualOutput& residual, int row, int group) {
  return reinterpret_cast<float2*>(residual.moments + static_cast<std::ptrdiff_t>(row) * residual.ld_moments) + group;
}

/// The mean of a row that a product normalises may be this many deviations from zero. Rounding loses as many times more
/// of the row's digits than of a row whose mean is zero.
constexpr float most_deviations = 4.F;

/// norms[r] = (1 / deviation, -mean / deviation) of row r of the block. Rows that are normalised already have (1, 0).
template <class Block>
DEVICE void combine_moments(const GemmParams& p, float2* norms) {
  const RowNorm& norm = p.norm;
  for (int r = static_cast<int>(threadIdx.x); r < Block::rows; r += Block::threads) {
    const int row = static_cast<int>(blockIdx.y) * Block::rows + r;
    if (norm.moments == nullptr || row >= p.m) {
      norms[r] = make_float2(1.F, 0.F);
      continue;
    }
    const auto* const parts =
        reinterpret_cast<const float2*>(norm.moments + static_cast<std::ptrdiff_t>(row) * norm.ld_moments);
    Moments all;
#pragma unroll 4
    for (int first = 0; first < norm.cols; first += moment_group) {
      const float2 part = parts[first / moment_group];
      all.add({static_cast<float>(min(moment_group, norm.cols - first)), part.x, part.y});
    }
    const float scale = rsqrtf(all.squares / all.count + norm.epsilon);
    // No |x - mean| is above the root of the sum of squares.
    const float most = fabsf(all.mean) + sqrtf(all.squares);
    report_unless_finite(most, 0.F, norm.excess);
    if (most > norm.limit || fabsf(all.mean) * scale > most_deviations) atomicMax(norm.excess, __float_as_uint(most));
    norms[r] = make_float2(scale, -all.mean * scale);
  }
}

}  // namespace flow::kernels

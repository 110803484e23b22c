// Layer normalisation: out = (x - mean) / sqrt(variance + epsilon) * gamma + beta, with the mean and variance of every
// row.
//
// x is float32, the residual stream. out are features; or the input of the next product, where that cannot normalise
// the rows itself (RowNorm in gemm.h). A ViT-S layer's 1605 rows of 384 are 2.5 MB in and, in float16, 1.2 MB out, for
// some 8 FLOPs an element. So memory is the limit, or L2, where x was just written. Therefore a row is read once. A
// warp holds it in registers, and every load of every lane is 16 bytes. No shared memory and no barrier is needed. Only
// columns from 1024 on are read again.
//
// The variance is the mean of squared deviations, not of squares, so a large mean costs no accuracy. The rounding error
// of the mean is the mean of the deviations. Both the mean and the variance are corrected by it.

#include "layer_norm.h"

#include "number.cuh"

namespace flow::kernels {

constexpr int layer_norm_loads = 8;  // loads of four columns per lane that are kept in registers

DEVICE float warp_sum(float x) {
#pragma unroll
  for (int lanes = warp_size / 2; lanes > 0; lanes /= 2) x += __shfl_xor_sync(0xffffffffU, x, lanes);
  return x;
}

/// Whether every row begins at a multiple of four elements of memory.
template <class T>
DEVICE bool aligned4(const T* rows, int stride) {
  return reinterpret_cast<std::uintptr_t>(rows) % (4 * sizeof(T)) == 0 && stride % 4 == 0;
}

/// Columns c to c + 3 of `row`; zeros from `cols` on.
DEVICE float4 load4(const float* row, int c, int cols, bool aligned) {
  if (aligned && c + 4 <= cols) return *reinterpret_cast<const float4*>(row + c);
  return make_float4(c < cols ? row[c] : 0.F, c + 1 < cols ? row[c + 1] : 0.F, c + 2 < cols ? row[c + 2] : 0.F,
                     c + 3 < cols ? row[c + 3] : 0.F);
}

template <class T>
DEVICE void store4(T* row, int c, int cols, bool aligned, float4 y) {
  if (aligned && c + 4 <= cols) {
    if constexpr (sizeof(T) == 4) {
      *reinterpret_cast<float4*>(row + c) = y;
    } else {
      *reinterpret_cast<uint2*>(row + c) = make_uint2(pack2<T>(y.x, y.y), pack2<T>(y.z, y.w));
    }
    return;
  }
  if (c < cols) row[c] = from_float<T>(y.x);
  if (c + 1 < cols) row[c + 1] = from_float<T>(y.y);
  if (c + 2 < cols) row[c + 2] = from_float<T>(y.z);
  if (c + 3 < cols) row[c + 3] = from_float<T>(y.w);
}

/// A row, held by one warp: lane l has columns 4 (l + 32 i) to 4 (l + 32 i) + 3.
class LayerNormRow {
 public:
  DEVICE LayerNormRow(const float* row, int cols, bool aligned) : row_(row), cols_(cols), aligned_(aligned) {
#pragma unroll
    for (int i = 0; i < layer_norm_loads; i++) {
      values_[i] = column(i) < cols ? load4(row, column(i), cols, aligned) : make_float4(0.F, 0.F, 0.F, 0.F);
    }
  }

  /// Calls use(c, columns c to c + 3) for all columns of this lane.
  template <class Use>
  DEVICE void for_each(const Use& use) const {
#pragma unroll
    for (int i = 0; i < layer_norm_loads; i++) {
      if (column(i) < cols_) use(column(i), values_[i]);
    }
    for (int c = column(layer_norm_loads); c < cols_; c += 4 * warp_size) use(c, load4(row_, c, cols_, aligned_));
  }

 private:
  static DEVICE int column(int i) { return 4 * (lane_id() + warp_size * i); }

  float4 values_[layer_norm_loads];
  const float* row_;
  int cols_;
  bool aligned_;
};

template <class T>
DEVICE void layer_norm(const LayerNormParams& p) {
  const int index = static_cast<int>(blockIdx.x) * layer_norm_rows + warp_id();
  if (index >= p.rows) return;

  const LayerNormRow row(p.x + static_cast<std::ptrdiff_t>(index) * p.ldx, p.cols, aligned4(p.x, p.ldx));
  float sum = 0.F;
  row.for_each([&](int, float4 x) { sum += (x.x + x.y) + (x.z + x.w); });
  const float mean = warp_sum(sum) / static_cast<float>(p.cols);

  float deviations = 0.F, squares = 0.F;
  row.for_each([&](int c, float4 x) {
    const float a = x.x - mean, b = c + 1 < p.cols ? x.y - mean : 0.F, d = c + 2 < p.cols ? x.z - mean : 0.F,
                e = c + 3 < p.cols ? x.w - mean : 0.F;
    deviations += (a + b) + (d + e);
    squares += (a * a + b * b) + (d * d + e * e);
  });
  const float mean_error = warp_sum(deviations) / static_cast<float>(p.cols);
  const float variance = warp_sum(squares) / static_cast<float>(p.cols) - mean_error * mean_error;
  const float scale = rsqrtf(fmaxf(variance, 0.F) + p.epsilon);
  // Also where x is infinite or NaN. An infinite variance alone would make `out` finite, and wrong.
  report_unless_finite(variance, mean, p.excess);
  LargestMagnitude largest;

  T* const out = static_cast<T*>(p.out) + static_cast<std::ptrdiff_t>(index) * p.ldo;
  const bool aligned = aligned4(static_cast<const T*>(p.out), p.ldo);
  const bool aligned_weights = aligned4(p.gamma, 0) && aligned4(p.beta, 0);
  row.for_each([&](int c, float4 x) {
    const float4 gamma = load4(p.gamma, c, p.cols, aligned_weights), beta = load4(p.beta, c, p.cols, aligned_weights);
    const float4 y = make_float4(
        (x.x - mean - mean_error) * scale * gamma.x + beta.x, (x.y - mean - mean_error) * scale * gamma.y + beta.y,
        (x.z - mean - mean_error) * scale * gamma.z + beta.z, (x.w - mean - mean_error) * scale * gamma.w + beta.w);
    for (const float value : {y.x, y.y, y.z, y.w}) largest.note(value);
    store4(out, c, p.cols, aligned, y);
  });
  largest.report(p.excess, p.limit);
}

KERNEL(layer_norm_f32, LayerNormParams, layer_norm_threads, 1) { layer_norm<float>(p); }
KERNEL(layer_norm_f16, LayerNormParams, layer_norm_threads, 1) { layer_norm<__half>(p); }
KERNEL(layer_norm_bf16, LayerNormParams, layer_norm_threads, 1) { layer_norm<__nv_bfloat16>(p); }

}  // namespace flow::kernels

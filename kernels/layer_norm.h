#pragma once

// Parameters of layer_norm.cu: layer_norm_TYPE, TYPE (f32, f16, bf16) of `out`. One warp per row, layer_norm_threads
// threads per block, the grid ceil(rows / layer_norm_rows).

namespace flow::kernels {

constexpr int layer_norm_rows = 4;
constexpr int layer_norm_threads = 32 * layer_norm_rows;

struct LayerNormParams {
  const float* x;  // rows x cols, rows ldx apart
  const float* gamma;
  const float* beta;
  void* out;  // rows ldo apart
  int rows, cols, ldx, ldo;
  float epsilon;
  float limit;       // of magnitudes of the result, before it is rounded to TYPE
  unsigned* excess;  // see layouts.h; infinite if a row's variance is not finite
};

}  // namespace flow::kernels

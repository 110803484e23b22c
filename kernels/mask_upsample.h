#pragma once

#include "layouts.h"

// Parameters of mask_upsample.cu: mask_upsample_TYPE, TYPE f32, f16 or bf16.
// The grid is (ceil(up * up / mask_subpixels), ceil(height * width / mask_rows)), the block mask_threads.

namespace flow::kernels {

constexpr int mask_rows = 64;
constexpr int mask_subpixels = 16;  // two groups of 8
constexpr int mask_threads = 128;
constexpr int mask_stages = 3;

constexpr int mask_depth(int element_bytes) { return element_bytes == 2 ? 32 : 16; }
constexpr int mask_shared_bytes(int element_bytes) {
  return mask_stages * (mask_rows + 9 * mask_subpixels) * mask_depth(element_bytes) * element_bytes;
}

struct MaskUpsampleParams {
  const void* in;  // T: height * width x k, rows ldi apart
  /// T: per group of 8 subpixels, the 9 taps of 8 rows each. Row (group * 9 + tap) * 8 + i is channel tap * up * up +
  /// group * 8 + i of the mask. The groups are rounded up to whole blocks of mask_subpixels. Rows beyond up * up
  /// subpixels and columns beyond k are zero. Rows are ldw apart.
  const void* weights;
  const float* bias;  // one per row of weights
  const float* flow;  // height * width x 2, rows ld_flow apart
  float* out_x;       // height * up rows of width * up, ldo apart
  float* out_y;
  int height, width, up;
  int k;  // a multiple of column_group
  int ldi, ldw, ld_flow, ldo;
  float scale;       // undoes the power of two of `weights`
  unsigned* excess;  // see layouts.h; infinite if a flow is not finite
};

}  // namespace flow::kernels

#pragma once

#include "layouts.h"

// Parameters of depthwise.cu: depthwise_TYPE, TYPE f32, f16 or bf16. A thread computes eight channels of
// depthwise_pixels neighbouring pixels of a row. A block of depthwise_threads computes depthwise_channels channels of a
// tile of the map. The grid is (ceil(width / depthwise_tile_width), ceil(height / depthwise_tile_height),
// ceil((cols + extra_cols) / depthwise_channels)).

namespace flow::kernels {

constexpr int depthwise_pixels = 4;
constexpr int depthwise_tile_height = 8, depthwise_tile_width = 2 * depthwise_pixels;
constexpr int depthwise_channels = squeeze_channels;  // 128 bytes of float16: a line of L1
constexpr int depthwise_threads =
    depthwise_channels / 8 * depthwise_tile_height * depthwise_tile_width / depthwise_pixels;

constexpr int depthwise_shared_bytes(int reduced) { return (2 * depthwise_channels + reduced) * 4; }

/// The factors of the input, sigmoid(fc2 silu(sum of rows of `squeezed` + bias1) + bias2).
struct Excite {
  const float* squeezed;  // Squeeze of gemm.h: slices x reduced, rows ld apart; null for factors of 1
  int slices, reduced, ld;
  const float* bias1;  // reduced
  const float* fc2;    // reduced x cols: the transpose
  const float* bias2;  // cols
};

struct DepthwiseParams {
  const void* in;        // T: height * width x cols, rows ldi apart
  const float* extra;    // height * width x extra_cols more channels, rows ld_extra apart, or null
  const float* weights;  // 9 x ldw: tap-major, zero beyond the channels, which are padded to a multiple of eight
  void* out;             // T: cols + extra_cols columns, then zeros up to a multiple of eight; rows ldo apart
  int height, width;
  int cols, extra_cols;
  int ldi, ld_extra, ldw, ldo;
  unsigned* excess;  // see layouts.h; for T of float16
  Excite excite;
};

}  // namespace flow::kernels

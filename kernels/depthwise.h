#pragma once

// Parameters of depthwise.cu: depthwise_TYPE, TYPE f32, f16 or bf16. A thread computes eight channels of
// depthwise_pixels neighbouring pixels of a row. The grid has at least depthwise_blocks blocks, in any shape; the block
// is depthwise_threads.

namespace flow::kernels {

constexpr int depthwise_pixels = 4;
constexpr int depthwise_threads = 64;

/// Blocks for a map of height x width pixels with `channels` = cols + extra_cols.
constexpr int depthwise_blocks(int height, int width, int channels) {
  const int runs = (width + depthwise_pixels - 1) / depthwise_pixels * height, groups = (channels + 7) / 8;
  return (runs * groups + depthwise_threads - 1) / depthwise_threads;
}

struct DepthwiseParams {
  const void* in;        // T: height * width x cols, rows ldi apart
  const float* scale;    // cols factors of the input (squeeze-and-excitation), or null
  const float* extra;    // height * width x extra_cols more channels, rows ld_extra apart, or null
  const float* weights;  // 9 x ldw: tap-major, zero beyond the channels, which are padded to a multiple of eight
  void* out;             // T: cols + extra_cols columns, then zeros up to a multiple of eight; rows ldo apart
  int height, width;
  int cols, extra_cols;
  int ldi, ld_extra, ldw, ldo;
  unsigned* excess;  // see layouts.h; for T of float16
};

}  // namespace flow::kernels

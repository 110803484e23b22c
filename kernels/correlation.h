#pragma once

// Parameters of correlation.cu: correlation_TYPE, TYPE f32, f16 or bf16.
// The grid is (ceil(width / correlation_tile_width), ceil(height / correlation_tile_height)), the block
// correlation_threads.

namespace flow::kernels {

constexpr int correlation_tile_width = 4;  // pixels of `a`: 4 x 4 are the 16 rows of one mma fragment
constexpr int correlation_tile_height = 4;
constexpr int correlation_neighbours = 144;                            // pixels of `b` per pass: all those of radius 4
constexpr int correlation_threads = correlation_neighbours / 16 * 32;  // one warp per 16 of them
constexpr int correlation_depth_bytes = 64;                            // bytes of a row in one stage of shared memory
constexpr int correlation_stages = 3;

/// The same for all radii and types.
constexpr int correlation_shared_bytes = correlation_stages *
                                         (correlation_tile_width * correlation_tile_height + correlation_neighbours) *
                                         correlation_depth_bytes;

struct CorrelationParams {
  const void* a;  // T: height * width x channels, rows lda apart
  const void* b;
  /// T: 3 * channels + (2 radius + 1)^2 columns, [a, b, |a - b|, a . b(y+dy, x+dx) / sqrt(channels)], then zeros up to
  /// a multiple of eight; rows ldo apart.
  void* out;
  int height, width, channels, radius;
  int lda, ldb, ldo;
  unsigned* excess;  // see layouts.h; for T of float16
};

}  // namespace flow::kernels

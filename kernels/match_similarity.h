#pragma once

// Parameters of match_similarity.cu.

namespace flow::kernels {

constexpr int match_norms_threads = 256;  // a warp per pixel; the grid is ceil(pixels / match_norms_pixels)
constexpr int match_norms_pixels = match_norms_threads / 32;
constexpr int match_similarity_threads = 256;  // the grid is one block
constexpr int match_similarity_shared_bytes = match_similarity_threads * 4;

struct MatchSimilarityParams {
  const void* fused;  // height * width rows, ldf apart: a, b, |a - b| (channels each), then the window's dot products
  float* norms;       // 1 / |a|, then 1 / |b|, of all pixels: scratch between the two kernels
  float* similarity;  // 1
  int height, width, channels, radius, ldf;
};

}  // namespace flow::kernels

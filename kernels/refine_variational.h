#pragma once

#include "image.h"

// Parameters of refine_variational.cu. `warp_luma` has 32 x 8 threads, one pixel each; its grid is (ceil(width / 32),
// ceil(height / 8)). `refine_variational` has a block per tile: its grid is (ceil(width / tile_width), ceil(height /
// tile_height)).

namespace flow::kernels {

/// Pixels that a block writes, and those around that it solves with them, at most.
constexpr int variational_tile_height = 48, variational_tile_width = 64, variational_halo = 8;
/// Pixels that a block solves. Their columns come in pairs; a thread has every 16th row of one pair.
constexpr int variational_rows = variational_tile_height + 2 * variational_halo;
constexpr int variational_pairs = variational_tile_width / 2 + variational_halo;
constexpr int variational_threads = 640;

/// Elements of the even or of the odd columns of a tile, with a row above and one below. A multiple of 32, so that the
/// even columns of one row and the odd ones of the next, which a warp reads together, are in different banks.
constexpr int variational_half = ((variational_rows + 2) * variational_pairs + 31) / 32 * 32;
/// u, v and the weight of the smoothness. GPUs of compute capability 7.5 have 64 KB for a block.
constexpr int variational_shared_bytes = 3 * 2 * variational_half * static_cast<int>(sizeof(float));

struct WarpLumaParams {
  ImageView from, to;
  int plane;          // luma
  const float* flow;  // 2 planes of height x width, rows ld_flow apart
  float* mean;        // height x width, tight: of `from` and the warped `to`
  float* difference;  // height x width, tight: warped `to` minus `from`
  int ld_flow;
};

struct RefineVariationalParams {
  const float* mean;        // of warp_luma
  const float* difference;  // of warp_luma
  const float* flow;        // 2 planes of height x width, rows ld_flow apart
  float* out;               // 2 planes of height x width, rows ld_out apart
  int height, width;
  int ld_flow, ld_out;
  int outer, inner, halo;
  float smoothness, gradient, brightness, relaxation;
};

}  // namespace flow::kernels

#pragma once

// What the kernels of the refinement's patches share: where a patch begins, and sums over a warp.

#include "image.cuh"
#include "patches.h"

namespace flow::kernels {

constexpr float patch_pixels = patch_side * patch_side;
constexpr float patch_samples = patch_pixels * patch_channels;

/// First pixel of patch `index` along a side of `size` pixels.
DEVICE int patch_start(int index, int stride, int size) { return min(index * stride, size - patch_side); }

/// A lane's two pixels, where a warp holds a patch: those of column patch_column() in row patch_row() and the next.
DEVICE int patch_column() { return lane_id() % patch_side; }
DEVICE int patch_row() { return lane_id() / patch_side * 2; }

/// Between a pixel and the one to its right.
DEVICE float pixel_across(const float* pixel, float part_x) { return pixel[0] + part_x * (pixel[1] - pixel[0]); }

/// sums[i] becomes the sum of sums[i] over all lanes of the warp, in every lane. N is a power of two up to 32. In each
/// step a lane gives one half of its values away and adds the other half of its partner: N = 8 takes 16 shuffles, where
/// eight sums of their own would take 40.
template <int N>
DEVICE void warp_sums(float (&sums)[N]) {
  constexpr unsigned all = 0xffffffffU;
#pragma unroll
  for (int held = N / 2, lanes = warp_size / 2; held > 0; held /= 2, lanes /= 2) {
    const bool upper = (lane_id() & lanes) != 0;
#pragma unroll
    for (int i = 0; i < held; i++) {
      const float kept = upper ? sums[held + i] : sums[i], given = upper ? sums[i] : sums[held + i];
      sums[i] = kept + __shfl_xor_sync(all, given, lanes);
    }
  }
  float sum = sums[0];  // that of index lane / (32 / N), over every (32 / N)th lane
#pragma unroll
  for (int lanes = warp_size / N / 2; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(all, sum, lanes);
#pragma unroll
  for (int i = 0; i < N; i++) sums[i] = __shfl_sync(all, sum, i * (warp_size / N));
}

}  // namespace flow::kernels

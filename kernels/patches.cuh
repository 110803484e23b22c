#pragma once

// Shared by the kernels of the refinement's patches: the first pixel of a patch, and the pixels of a lane.

#include "image.cuh"
#include "patches.h"
#include "warp_sums.cuh"

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

}  // namespace flow::kernels

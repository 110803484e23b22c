#pragma once

#include "cuda/launch.h"
#include "cuda/tiles.h"
#include "kernels/image.h"
#include "ops/refine_stages.h"

// What the refinement's stages give to kernels.

namespace flow::cuda {

inline float* floats(RealMatrix m) { return static_cast<float*>(m.data); }

inline kernels::ImageView view_of(const Image& image) {
  return {static_cast<float*>(image.planes.data), image.height, image.width, image.planes.stride};
}

/// For kernels with a thread a pixel.
constexpr Dim3 pixel_block{32, 8};
inline Dim3 pixel_grid(int height, int width) {
  return {ceil_div(width, pixel_block.x), ceil_div(height, pixel_block.y)};
}

}  // namespace flow::cuda

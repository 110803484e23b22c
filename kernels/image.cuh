#pragma once

// Pixels of a pyramid's levels.

#include "image.h"
#include "kernel.cuh"

namespace flow::kernels {

/// Pixel (y, x) of a plane, or of the border around it.
DEVICE float* pixel_of(const ImageView& image, int plane, int y, int x) {
  const int row = plane * (image.height + 2 * ImageView::border) + ImageView::border + y;
  return image.planes + static_cast<std::ptrdiff_t>(row) * image.stride + ImageView::border + x;
}

/// The pixel of a side of `size` pixels that is nearest to position `at`.
DEVICE int nearest_inside(int at, int size) { return min(max(at, 0), size - 1); }

}  // namespace flow::kernels

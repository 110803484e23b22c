#pragma once

// Pixels of a pyramid's levels, and motions between them.

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

/// The pixel above and to the left of a position, and how far the position is beyond it.
struct ImagePosition {
  int y, x;
  float part_y, part_x;
};

/// Where the first of `side` x `side` pixels is read, kept so near to the image that its border holds all of them and
/// their neighbours to the right and below.
DEVICE ImagePosition position_in(const ImageView& image, float y, float x, int side) {
  constexpr float lowest = 1 - ImageView::border;
  const float beyond = static_cast<float>(ImageView::border - side - 2);
  y = fminf(fmaxf(y, lowest), static_cast<float>(image.height) + beyond);
  x = fminf(fmaxf(x, lowest), static_cast<float>(image.width) + beyond);
  // Truncation rounds down, as the sums are not negative.
  const int top = static_cast<int>(y + ImageView::border) - ImageView::border;
  const int left = static_cast<int>(x + ImageView::border) - ImageView::border;
  return {top, left, y - static_cast<float>(top), x - static_cast<float>(left)};
}

/// A plane between its pixels, bilinear, for a position of `side` 1.
DEVICE float between_pixels(const ImageView& image, int plane, const ImagePosition& at) {
  const float *upper = pixel_of(image, plane, at.y, at.x), *lower = upper + image.stride;
  const float above = upper[0] + at.part_x * (upper[1] - upper[0]);
  const float below = lower[0] + at.part_x * (lower[1] - lower[0]);
  return above + at.part_y * (below - above);
}

/// A motion, with 0 in place of what is not finite, and not so long that a position would lose its fraction.
DEVICE float sane_motion(float motion, int height, int width) {
  const float longest = 2 * static_cast<float>(height + width);
  return isfinite(motion) ? fminf(fmaxf(motion, -longest), longest) : 0.F;
}

}  // namespace flow::kernels

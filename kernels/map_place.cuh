#pragma once

// A place between the pixels of a map without a border around it.

#include "kernel.cuh"

namespace flow::kernels {

/// The four pixels around a place that is held inside the map, and how far it is beyond the first of them.
struct MapPlace {
  int top, left, bottom, right;
  float part_y, part_x;

  DEVICE MapPlace(float y, float x, int height, int width) {
    y = fminf(fmaxf(y, 0.F), static_cast<float>(height - 1));
    x = fminf(fmaxf(x, 0.F), static_cast<float>(width - 1));
    top = static_cast<int>(y), left = static_cast<int>(x);
    bottom = min(top + 1, height - 1), right = min(left + 1, width - 1);
    part_y = y - static_cast<float>(top), part_x = x - static_cast<float>(left);
  }

  /// at(y, x) between the pixels, bilinear.
  template <class At>
  DEVICE float mean(const At& at) const {
    const float above = at(top, left) * (1 - part_x) + at(top, right) * part_x;
    const float below = at(bottom, left) * (1 - part_x) + at(bottom, right) * part_x;
    return above * (1 - part_y) + below * part_y;
  }
  /// Of a map whose rows are `stride` apart.
  DEVICE float mean(const float* map, int stride) const {
    return mean([=](int y, int x) { return map[static_cast<std::ptrdiff_t>(y) * stride + x]; });
  }
};

/// Whether a place is nearer to a pixel of the map than to what is beyond its edge; not if it is NaN.
DEVICE bool is_inside_map(float y, float x, int height, int width) {
  return x >= -0.5F && y >= -0.5F && x < static_cast<float>(width) - 0.5F && y < static_cast<float>(height) - 0.5F;
}

}  // namespace flow::kernels

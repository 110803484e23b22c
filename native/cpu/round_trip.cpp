#include "cpu/round_trip.h"

#include <algorithm>
#include <cmath>

namespace flow::cpu {

namespace {

/// Row `row` of a plane of a planar flow.
const float* row_of(RealMatrix flow, int plane, int row) {
  return static_cast<const float*>(flow.data) +
         static_cast<std::ptrdiff_t>(plane * (flow.rows / 2) + row) * flow.stride;
}

/// |forward(p) + backward(q)|^2, and the square that it may reach.
struct Miss {
  float square, limit;
};

Miss miss_at(RealMatrix backward, float u, float v, float to_x, float to_y) {
  const int width = backward.cols, height = backward.rows / 2;
  const float at_x = std::clamp(to_x, 0.F, static_cast<float>(width - 1));
  const float at_y = std::clamp(to_y, 0.F, static_cast<float>(height - 1));
  const int left = static_cast<int>(at_x), top = static_cast<int>(at_y);
  const int right = std::min(left + 1, width - 1), bottom = std::min(top + 1, height - 1);
  const float part_x = at_x - static_cast<float>(left), part_y = at_y - static_cast<float>(top);
  float back[2];
  for (int plane = 0; plane < 2; plane++) {
    const float *upper = row_of(backward, plane, top), *lower = row_of(backward, plane, bottom);
    const float above = upper[left] * (1 - part_x) + upper[right] * part_x;
    const float below = lower[left] * (1 - part_x) + lower[right] * part_x;
    back[plane] = above * (1 - part_y) + below * part_y;
  }
  const float miss_x = u + back[0], miss_y = v + back[1];
  return {miss_x * miss_x + miss_y * miss_y, 0.01F * (u * u + v * v + back[0] * back[0] + back[1] * back[1]) + 0.5F};
}

}  // namespace

void round_trip_row(RealMatrix forward, RealMatrix backward, int row, std::uint8_t* occlusion, float* confidence) {
  const int width = forward.cols, height = forward.rows / 2;
  const float *u = row_of(forward, 0, row), *v = row_of(forward, 1, row);
  const float right = static_cast<float>(width) - 0.5F, bottom = static_cast<float>(height) - 0.5F;
  for (int x = 0; x < width; x++) {
    const float to_x = static_cast<float>(x) + u[x], to_y = static_cast<float>(row) + v[x];
    const bool inside = to_x >= -0.5F && to_x < right && to_y >= -0.5F && to_y < bottom;  // NaN is outside
    const Miss miss = inside ? miss_at(backward, u[x], v[x], to_x, to_y) : Miss{INFINITY, 1};
    const bool known = std::isfinite(miss.square);
    if (occlusion != nullptr) occlusion[x] = known && miss.square <= miss.limit ? 0 : 1;
    if (confidence != nullptr) confidence[x] = known ? miss.limit / (miss.limit + miss.square) : 0;
  }
}

}  // namespace flow::cpu

#include "cpu/round_trip.h"

#include <cmath>

#include "cpu/map_place.h"

namespace flow::cpu {

namespace {

float* row_of(RealMatrix m, int row) {
  return static_cast<float*>(m.data) + static_cast<std::ptrdiff_t>(row) * m.stride;
}

struct Motion {
  float x, y;
  float square() const { return x * x + y * y; }
};

/// The motion of a planar flow between its pixels.
Motion motion_at(RealMatrix flow, float y, float x) {
  const int height = flow.rows / 2;
  const MapPlace place(y, x, height, flow.cols);
  const auto mean = [&](int first) { return place.mean([&](int r, int c) { return row_of(flow, first + r)[c]; }); };
  return {mean(0), mean(height)};
}

}  // namespace

void round_trip_row(RealMatrix forward, RealMatrix backward, int row, std::uint8_t* occlusion, float* confidence) {
  const int width = forward.cols, height = forward.rows / 2;
  const float *u = row_of(forward, row), *v = row_of(forward, height + row);
  const float right = static_cast<float>(width) - 0.5F, bottom = static_cast<float>(height) - 0.5F;
  for (int x = 0; x < width; x++) {
    const float to_x = static_cast<float>(x) + u[x], to_y = static_cast<float>(row) + v[x];
    const bool inside = to_x >= -0.5F && to_x < right && to_y >= -0.5F && to_y < bottom;  // NaN is outside
    float miss = INFINITY, limit = 1;
    if (inside) {
      const Motion back = motion_at(backward, to_y, to_x);
      miss = Motion{u[x] + back.x, v[x] + back.y}.square();
      limit = 0.01F * (u[x] * u[x] + v[x] * v[x] + back.square()) + 0.5F;
    }
    const bool known = std::isfinite(miss);
    if (occlusion != nullptr) occlusion[x] = known && miss <= limit ? 0 : 1;
    if (confidence != nullptr) confidence[x] = known ? limit / (limit + miss) : 0;
  }
}

void check_return_row(RealMatrix flow, RealMatrix back, float scale, int row, RealMatrix sure) {
  const float *u = row_of(flow, row), *v = row_of(flow, sure.rows + row);
  float* own = row_of(sure, row);
  for (int x = 0; x < sure.cols; x++) {
    const float to_x = static_cast<float>(x) + u[x] + 0.5F, to_y = static_cast<float>(row) + v[x] + 0.5F;
    const Motion motion{scale * u[x], scale * v[x]}, there = motion_at(back, to_y * scale - 0.5F, to_x * scale - 0.5F);
    const float miss = 4 * Motion{motion.x + there.x, motion.y + there.y}.square();  // a pixel of level 1 is two
    const float limit = 1 + 0.1F * std::sqrt(motion.square()), square = limit * limit;
    own[x] *= square * square / (square * square + miss);
  }
}

}  // namespace flow::cpu

#include "cpu/color_flow.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/color_wheel.h"

// Double precision, and the order of lib/viz, make the bytes equal to flowToColor's. A picture that is a level off here
// and there would be no worse, but nobody should have to wonder about it. At 640 x 640 this adds a seventh to a pass of
// the head.

namespace flow::cpu {

namespace {

/// As writeColor of lib/viz/color-wheel.ts. x and y are finite and in units of the full colour.
void write_color(double x, double y, std::uint8_t* rgb) {
  constexpr double darkening = 0.75;  // factor of a motion that is longer than the unit
  const double radius = std::sqrt(x * x + y * y);
  const double turn = std::atan2(-y, -x) / std::numbers::pi;
  // The gap from the last colour back to the first has no width.
  const double position = (turn + 1) / 2 * (color_wheel.size() - 1);
  const auto index = static_cast<std::size_t>(position);
  const double fraction = position - static_cast<double>(index);
  const Color &from = color_wheel[index], &to = color_wheel[(index + 1) % color_wheel.size()];
  for (std::size_t c = 0; c < 3; c++) {
    const double full = ((1 - fraction) * from[c] + fraction * to[c]) / 255;
    const double color = radius <= 1 ? 1 - radius * (1 - full) : darkening * full;
    rgb[c] = static_cast<std::uint8_t>(255 * color);
  }
}

}  // namespace

double longest_motion(const float* x, const float* y, int width) {
  double longest = 0;  // squared; double precision holds the square of any float32
  for (int i = 0; i < width; i++) {
    const double dx = x[i], dy = y[i], square = dx * dx + dy * dy;
    if (square > longest && square < std::numeric_limits<double>::infinity()) longest = square;
  }
  return std::sqrt(longest);
}

void color_row(const float* x, const float* y, int width, double unit, const FlowColors& colors, std::uint8_t* rgb) {
  const double limit = colors.clip_max;
  for (int i = 0; i < width; i++, rgb += 3) {
    const double dx = x[i], dy = y[i], length = std::sqrt(dx * dx + dy * dy);
    if (!std::isfinite(length) || length < colors.clip_min) {
      std::fill_n(rgb, 3, std::uint8_t{255});
    } else {
      write_color(std::clamp(dx, -limit, limit) / unit, std::clamp(dy, -limit, limit) / unit, rgb);
    }
  }
}

}  // namespace flow::cpu

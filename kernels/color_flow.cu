// A planar flow as a picture in the colour code of Baker et al. (A Database and Evaluation Methodology for Optical
// Flow, IJCV 2011): hue is the direction, by a wheel of 55 colours, saturation the length, from white at none to the
// full colour at `unit`, and darker beyond that. `unit` is a scale that is given or the longest motion of the picture,
// which a kernel of its own looks for: a block leaves one value, so that nothing has to be zeroed and no order matters.
//
// longest_motion reads 8 bytes a pixel, color_flow reads them again and writes 3: 1920 x 1080 is 16.6 MB, 16.6 MB (out
// of the second-level cache where it holds them) and 6.2 MB. Bound by memory, with some hundred instructions a pixel
// (hypot, atan2) not far behind. Without it those 16.6 MB would cross the bus.
//
// float32 but where it decides between colours that are levels apart: whether a motion is longer than `unit`, or
// shorter than what is drawn, is settled in double precision if it is close. For example a motion of 325 px is within
// a `unit` of 325 px + 1e-5, which float32 cannot tell from 325.

#include "color_flow.h"

#include "kernel.cuh"

namespace flow::kernels {

/// The largest of all threads' values, none of them negative, in every thread. `by_warp` has room for a value per warp.
template <int threads>
DEVICE float largest_of_block(float value, float* by_warp) {
  for (int step = warp_size / 2; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, step));
  if (lane_id() == 0) by_warp[warp_id()] = value;
  __syncthreads();
  for (int warp = 0; warp < threads / warp_size; warp++) value = fmaxf(value, by_warp[warp]);
  return value;
}

KERNEL(longest_motion, LongestMotionParams, longest_motion_threads, 1) {
  SHARED_MEMORY(float, by_warp);
  float longest = 0;
  for (int y = static_cast<int>(blockIdx.x); y < p.height; y += static_cast<int>(gridDim.x)) {
    const float* row_x = p.flow + static_cast<std::ptrdiff_t>(y) * p.ldf;
    const float* row_y = row_x + static_cast<std::ptrdiff_t>(p.height) * p.ldf;
#pragma unroll 4
    for (int x = static_cast<int>(threadIdx.x); x < p.width; x += longest_motion_threads) {
      const float length = hypotf(row_x[x], row_y[x]);
      longest = isfinite(length) ? fmaxf(longest, length) : longest;
    }
  }
  longest = largest_of_block<longest_motion_threads>(longest, by_warp);
  if (threadIdx.x == 0) p.longest[blockIdx.x] = longest;
}

/// By how much the vector (x, y) is longer than `limit`, of which the sign alone counts. `length` is its length in
/// float32, and says so unless it is close.
DEVICE float excess(double x, double y, float length, double limit) {
  const float near = static_cast<float>(limit);
  if (fabsf(length - near) > 1e-5F * near) return length - near;
  return static_cast<float>(x * x + y * y - limit * limit);
}

/// The lengths by which a picture is coloured.
class Ruler {
 public:
  DEVICE Ruler(const ColorFlowParams& params, float longest) : p_(params) {
    constexpr double least = 1e-5;  // keeps a field without motion from dividing by zero, as in lib/viz
    const bool fixed = p_.scale > 0;
    unit_ = (fixed ? p_.scale : fmin(static_cast<double>(longest), p_.clip_max)) + least;
    has_beyond_ = fixed || longest > p_.clip_max;  // nothing is longer than the longest
  }

  DEVICE bool shows(float x, float y) const {
    const float length = hypotf(x, y);
    return isfinite(length) && excess(x, y, length, p_.clip_min) >= 0;
  }
  DEVICE bool beyond(float x, float y) const {
    return has_beyond_ && excess(clamp(x), clamp(y), hypotf(clipped(x), clipped(y)), unit_) > 0;
  }
  /// The length in units, at most 1.
  DEVICE float radius(float x, float y) const {
    return fminf(hypotf(clipped(x), clipped(y)) / static_cast<float>(unit_), 1.F);
  }
  DEVICE float clipped(float component) const {
    const float most = static_cast<float>(p_.clip_max);
    return fminf(fmaxf(component, -most), most);
  }

 private:
  DEVICE double clamp(double component) const { return fmin(fmax(component, -p_.clip_max), p_.clip_max); }

  const ColorFlowParams& p_;
  double unit_;
  bool has_beyond_;
};

/// Red in the lowest byte, then green, blue.
DEVICE std::uint32_t color_of(float x, float y, const Ruler& ruler, const std::uint32_t* wheel) {
  if (!ruler.shows(x, y)) return 0xffffff;
  // 0 to 54, over the gaps between the wheel's colours: the last gap, from the last colour to the first, has no width.
  const float half_turns = atan2f(-ruler.clipped(y), -ruler.clipped(x)) * 0.318309886F;
  const float place = fmaxf((half_turns + 1) * (0.5F * (wheel_colors - 1)), 0.F);  // rounded, it may be beyond the ends
  const int index = min(static_cast<int>(place), wheel_colors - 1);
  const float share = place - static_cast<float>(index);
  const std::uint32_t from = wheel[index], to = wheel[index + 1];
  const float radius = ruler.radius(x, y);
  const bool beyond = ruler.beyond(x, y);
  std::uint32_t color = 0;
  for (int shift = 0; shift < 24; shift += 8) {
    const float a = static_cast<float>(from >> shift & 255), b = static_cast<float>(to >> shift & 255);
    const float full = a + share * (b - a);
    // Rounded down, from white in the distance rounded up: 255 less very little is 254, but 255 in float32.
    const float level = beyond ? 0.75F * full : 255.F - ceilf(radius * (255.F - full));
    color |= static_cast<std::uint32_t>(level) << shift;
  }
  return color;
}

KERNEL(color_flow, ColorFlowParams, color_flow_threads, 1) {
  SHARED_MEMORY(std::uint32_t, wheel);  // where neighbours may look for different colours at once
  float* by_warp = reinterpret_cast<float*>(wheel + wheel_colors + 1);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread <= wheel_colors) wheel[thread] = p.wheel[thread];
  const float longest = thread < p.longest_count ? p.longest[thread] : 0.F;
  const Ruler ruler(p, largest_of_block<color_flow_threads>(longest, by_warp));  // its barrier is the wheel's, too

  const int pixels = p.height * p.width;
  const int first = (static_cast<int>(blockIdx.x) * color_flow_threads + thread) * color_flow_pixels;
  if (first >= pixels) return;
  // All loads before the first store; beyond the end, the last pixel again.
  float x[color_flow_pixels], y[color_flow_pixels];
  int row = first / p.width, col = first % p.width;
#pragma unroll
  for (int i = 0; i < color_flow_pixels; i++) {
    const float* at = p.flow + static_cast<std::ptrdiff_t>(row) * p.ldf + col;
    x[i] = *at;
    y[i] = at[static_cast<std::ptrdiff_t>(p.height) * p.ldf];
    if (first + i + 1 < pixels && ++col == p.width) col = 0, row++;
  }

  std::uint32_t color[color_flow_pixels];
#pragma unroll
  for (int i = 0; i < color_flow_pixels; i++) color[i] = color_of(x[i], y[i], ruler, wheel);

  std::uint8_t* out = p.picture + static_cast<std::ptrdiff_t>(first) * 3;
  if (first + color_flow_pixels <= pixels) {
    auto* words = reinterpret_cast<std::uint32_t*>(out);
    words[0] = color[0] | color[1] << 24;
    words[1] = color[1] >> 8 | color[2] << 16;
    words[2] = color[2] >> 16 | color[3] << 8;
  } else {
#pragma unroll
    for (int i = 0; i < color_flow_pixels; i++) {
      for (int c = 0; c < 3 && first + i < pixels; c++) out[3 * i + c] = static_cast<std::uint8_t>(color[i] >> 8 * c);
    }
  }
}

}  // namespace flow::kernels

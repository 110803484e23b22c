// A planar flow as a picture in the colour code of Baker et al. (A Database and Evaluation Methodology for Optical
// Flow, IJCV 2011). The hue is the direction, on a wheel of 55 colours. The saturation is the length: white for no
// motion, the full colour at `unit`, and darker beyond that. `unit` is a given scale, or the longest motion of the
// picture. A kernel of its own finds the longest motion. Each of its blocks writes one value, so nothing has to be
// zeroed and the order of the blocks does not matter.
//
// longest_motion reads 8 bytes a pixel. color_flow reads them again and writes 3. For 1920 x 1080 these are 16.6 MB,
// 16.6 MB (from L2 if it holds them) and 6.2 MB. Memory limits both; some hundred instructions a pixel (hypot, atan2)
// are not far behind. Without color_flow the 16.6 MB of flow would cross the bus.
//
// The arithmetic is float32 with one exception: two comparisons that decide between colours several levels apart. They
// are whether a motion is longer than `unit`, and whether it is too short to be drawn. If the values are close, double
// precision decides. For example, a motion of 325 px is within a `unit` of 325 px + 1e-5, which float32 cannot tell
// from 325.

#include "color_flow.h"

#include "kernel.cuh"

namespace flow::kernels {

/// The maximum of all threads' values, in every thread. No value is negative. `warp_max` has room for one value per
/// warp.
template <int threads>
DEVICE float block_max(float value, float* warp_max) {
  for (int step = warp_size / 2; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, step));
  if (lane_id() == 0) warp_max[warp_id()] = value;
  __syncthreads();
  for (int warp = 0; warp < threads / warp_size; warp++) value = fmaxf(value, warp_max[warp]);
  return value;
}

KERNEL(longest_motion, LongestMotionParams, longest_motion_threads, 1) {
  SHARED_MEMORY(float, warp_max);
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
  longest = block_max<longest_motion_threads>(longest, warp_max);
  if (threadIdx.x == 0) p.longest[blockIdx.x] = longest;
}

/// How much longer than `limit` the vector (x, y) is; only the sign has a meaning. `length` is the vector's length in
/// float32, and decides unless it is close to `limit`.
DEVICE float excess(double x, double y, float length, double limit) {
  const float near = static_cast<float>(limit);
  if (fabsf(length - near) > 1e-5F * near) return length - near;
  return static_cast<float>(x * x + y * y - limit * limit);
}

/// Decides how the length of a motion is coloured.
class ColorScale {
 public:
  DEVICE ColorScale(const ColorFlowParams& params, float longest) : p_(params) {
    constexpr double epsilon = 1e-5;  // keeps a field without motion from dividing by zero, as in lib/viz
    const bool fixed = p_.scale > 0;
    unit_ = (fixed ? p_.scale : fmin(static_cast<double>(longest), p_.clip_max)) + epsilon;
    may_exceed_unit_ = fixed || longest > p_.clip_max;  // no motion is longer than the longest
  }

  DEVICE bool is_visible(float x, float y) const {
    const float length = hypotf(x, y);
    return isfinite(length) && excess(x, y, length, p_.clip_min) >= 0;
  }
  DEVICE bool exceeds_unit(float x, float y) const {
    return may_exceed_unit_ && excess(clamp(x), clamp(y), hypotf(clipped(x), clipped(y)), unit_) > 0;
  }
  /// The length in units, at most 1.
  DEVICE float radius(float x, float y) const {
    return fminf(hypotf(clipped(x), clipped(y)) / static_cast<float>(unit_), 1.F);
  }
  DEVICE float clipped(float component) const {
    const float limit = static_cast<float>(p_.clip_max);
    return fminf(fmaxf(component, -limit), limit);
  }

 private:
  DEVICE double clamp(double component) const { return fmin(fmax(component, -p_.clip_max), p_.clip_max); }

  const ColorFlowParams& p_;
  double unit_;
  bool may_exceed_unit_;
};

/// Red in the lowest byte, then green, blue.
DEVICE std::uint32_t color_of(float x, float y, const ColorScale& color_scale, const std::uint32_t* wheel) {
  if (!color_scale.is_visible(x, y)) return 0xffffff;
  // Position on the wheel, 0 to 54. The gap from the last colour back to the first has no width. Rounding may put the
  // position beyond the ends.
  const float half_turns = atan2f(-color_scale.clipped(y), -color_scale.clipped(x)) * 0.318309886F;
  const float position = fmaxf((half_turns + 1) * (0.5F * (wheel_colors - 1)), 0.F);
  const int index = min(static_cast<int>(position), wheel_colors - 1);
  const float fraction = position - static_cast<float>(index);
  const std::uint32_t from = wheel[index], to = wheel[index + 1];
  const float radius = color_scale.radius(x, y);
  const bool exceeds_unit = color_scale.exceeds_unit(x, y);
  std::uint32_t color = 0;
  for (int shift = 0; shift < 24; shift += 8) {
    const float a = static_cast<float>(from >> shift & 255), b = static_cast<float>(to >> shift & 255);
    const float full = a + fraction * (b - a);
    // Rounds the level down, by rounding its distance from white up: 255 minus very little must be 254, but is 255 in
    // float32.
    const float level = exceeds_unit ? 0.75F * full : 255.F - ceilf(radius * (255.F - full));
    color |= static_cast<std::uint32_t>(level) << shift;
  }
  return color;
}

KERNEL(color_flow, ColorFlowParams, color_flow_threads, 1) {
  SHARED_MEMORY(std::uint32_t, wheel);  // neighbouring threads may read different colours at once
  float* warp_max = reinterpret_cast<float*>(wheel + wheel_colors + 1);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread <= wheel_colors) wheel[thread] = p.wheel[thread];
  const float longest = thread < p.longest_count ? p.longest[thread] : 0.F;
  const ColorScale color_scale(p, block_max<color_flow_threads>(longest, warp_max));  // its barrier also covers `wheel`

  const int pixels = p.height * p.width;
  const int first = (static_cast<int>(blockIdx.x) * color_flow_threads + thread) * color_flow_pixels;
  if (first >= pixels) return;
  // All loads come before the first store. Beyond the end, they repeat the last pixel.
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
  for (int i = 0; i < color_flow_pixels; i++) color[i] = color_of(x[i], y[i], color_scale, wheel);

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

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ops/frame.h"

namespace flow {

/// What the standards say of YUV: the parts of red and blue in luma, and whether levels are 0..255 or 16..235.
struct YuvCode {
  double red, blue;
  bool full;
};

/// The conversion of a code in the units of YuvToRgb.
inline YuvToRgb conversion_of(const YuvCode& code) {
  const double unit = 1 << kernels::yuv_bits, green = 1 - code.red - code.blue;
  const double luma = code.full ? 1 : 255.0 / 219, chroma = code.full ? 1 : 255.0 / 224;
  const double red = 2 * (1 - code.red) * chroma, blue = 2 * (1 - code.blue) * chroma;
  const auto rounded = [&](double factor) { return static_cast<int>(std::lround(factor * unit)); };
  return {code.full ? 0 : 16,
          rounded(luma),
          rounded(red),
          rounded(-blue * code.blue / green),
          rounded(-red * code.red / green),
          rounded(blue)};
}

constexpr YuvCode bt601{0.299, 0.114, false}, bt709{0.2126, 0.0722, false}, bt2020{0.2627, 0.0593, true};

/// One format for each way in which bytes may lie: 1, 2 and 3 planes, samples for 1, 2, 4 and 8 pixels.
inline const std::map<std::string, PixelFormat>& made_formats() {
  static const std::map<std::string, PixelFormat> formats{
      {"rgb", interleaved(3, 0, 1, 2)},
      {"rgba", interleaved(4, 0, 1, 2)},
      {"bgr", interleaved(3, 2, 1, 0)},
      {"abgr", interleaved(4, 3, 2, 1)},
      {"gray", interleaved(1, 0, 0, 0)},
      {"nv12", {{{{0, 0, 1}, {1, 0, 2, 1, 1}, {1, 1, 2, 1, 1}}}, conversion_of(bt601)}},
      {"i420", {{{{0, 0, 1}, {1, 0, 1, 1, 1}, {2, 0, 1, 1, 1}}}, conversion_of(bt709)}},
      {"yuyv", {{{{0, 0, 2}, {0, 1, 4, 1, 0}, {0, 3, 4, 1, 0}}}, conversion_of(bt2020)}},
      {"i411", {{{{0, 0, 1}, {1, 0, 1, 2, 0}, {2, 0, 1, 2, 0}}}, conversion_of(bt601)}}};
  return formats;
}

/// A frame of made-up bytes, with padding before, between and behind its planes and rows.
struct MadeFrame {
  int width, height;
  PixelFormat format;
  std::vector<std::uint8_t> bytes;

  template <class Next>
  MadeFrame(int w, int h, const PixelFormat& f, const Next& next) : width(w), height(h), format(f) {
    bytes.resize(bytes_of(frame()).size() + 2);
    for (std::uint8_t& byte : bytes) byte = next();
  }

  Frame frame() const {
    Frame frame = tight({bytes.data(), width, height, format, {}}, bytes.data());
    std::ptrdiff_t offset = 3;
    for (int p = 0; p < format.plane_count(); p++) {
      const PlaneSize size = size_of_plane(frame, p);
      frame.planes[static_cast<std::size_t>(p)] = {offset, size.row + 5 + p};
      offset += (size.row + 5 + p) * (size.rows + 1);
    }
    return frame;
  }

  /// R, G and B of a pixel in levels, not rounded for YUV below half a level.
  std::array<double, 3> color(int y, int x) const {
    const Frame f = frame();
    const auto sample = [&](const Channel& c) -> double {
      return row_of(f, c.plane, y >> c.down)[(x >> c.across) * c.step + c.byte];
    };
    const auto& [first, second, third] = format.channels;
    if (!format.is_yuv()) return {sample(first), sample(second), sample(third)};
    const YuvToRgb& by = format.to_rgb;
    const double unit = 1 << kernels::yuv_bits;
    const double light = by.luma / unit * (sample(first) - by.black), u = sample(second) - 128, v = sample(third) - 128;
    const auto level = [](double value) { return std::clamp(std::floor(value + 0.5), 0.0, 255.0); };
    return {level(light + by.v_to_r / unit * v), level(light + by.u_to_g / unit * u + by.v_to_g / unit * v),
            level(light + by.u_to_b / unit * u)};
  }
};

}  // namespace flow

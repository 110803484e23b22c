#include "cpu/preprocess.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace flow::cpu {

namespace {

/// ITU-R BT.601, video range, in OpenCV's 20-bit fixed point (COLOR_YUV2RGB_NV12).
void nv12_to_rgb(const std::uint8_t* luma, const std::uint8_t* chroma, int width, std::uint8_t* rgb) {
  constexpr int bits = 20, half = 1 << (bits - 1);
  constexpr int y_gain = 1220542, v_to_r = 1673527, v_to_g = -852492, u_to_g = -409993, u_to_b = 2116026;
  const auto clamp = [](int v) { return static_cast<std::uint8_t>(std::clamp(v, 0, 255)); };
  for (int x = 0; x < width; x++) {
    const int u = chroma[x / 2 * 2] - 128, v = chroma[x / 2 * 2 + 1] - 128;
    const int y = std::max(0, luma[x] - 16) * y_gain;
    rgb[3 * x] = clamp((y + half + v_to_r * v) >> bits);
    rgb[3 * x + 1] = clamp((y + half + v_to_g * v + u_to_g * u) >> bits);
    rgb[3 * x + 2] = clamp((y + half + u_to_b * u) >> bits);
  }
}

/// (v / 255 - mean) / std for each channel and level, in the order of operations of the original.
const std::array<std::array<float, 256>, 3>& normalised_levels() {
  static const auto table = [] {
    constexpr std::array<float, 3> mean{.485F, .456F, .406F}, deviation{.229F, .224F, .225F};
    std::array<std::array<float, 256>, 3> levels{};
    for (std::size_t c = 0; c < 3; c++) {
      for (std::size_t v = 0; v < 256; v++) levels[c][v] = (static_cast<float>(v) / 255.F - mean[c]) / deviation[c];
    }
    return levels;
  }();
  return table;
}

}  // namespace

void read_rgb_row(const Frame& frame, int y, std::uint8_t* rgb) {
  const std::uint8_t* row = frame.data + y * frame.stride;
  const auto pick = [&](int step, int r, int g, int b) {
    for (int x = 0; x < frame.width; x++, row += step, rgb += 3) rgb[0] = row[r], rgb[1] = row[g], rgb[2] = row[b];
  };
  switch (frame.format) {
    case PixelFormat::rgb: std::memcpy(rgb, row, 3 * static_cast<std::size_t>(frame.width)); break;
    case PixelFormat::rgba: pick(4, 0, 1, 2); break;
    case PixelFormat::bgr: pick(3, 2, 1, 0); break;
    case PixelFormat::bgra: pick(4, 2, 1, 0); break;
    case PixelFormat::gray: pick(1, 0, 0, 0); break;
    case PixelFormat::nv12:
      nv12_to_rgb(row, frame.data + (frame.height + y / 2) * frame.stride, frame.width, rgb);
      break;
  }
}

void Preprocess::plan(const Frame& frame, int height, int width, int threads) {
  for (Lines& lines : lines_) lines.upper_row = lines.lower_row = -1;
  if (frame.width == from_width_ && frame.height == from_height_ && height == height_ && width == width_) return;
  from_width_ = 0;                                  // no plan, should memory run out below
  across_.resize(static_cast<std::size_t>(width));  // within its capacity, a change of size allocates nothing
  down_.resize(static_cast<std::size_t>(height));
  find_resize_taps(frame.width, across_);
  find_resize_taps(frame.height, down_);
  lines_.resize(static_cast<std::size_t>(threads));
  for (Lines& lines : lines_) {
    lines.rgb.resize(3 * static_cast<std::size_t>(frame.width));
    lines.upper.resize(3 * static_cast<std::size_t>(width));
    lines.lower.resize(3 * static_cast<std::size_t>(width));
    lines.result.resize(3 * static_cast<std::size_t>(width));
  }
  from_width_ = frame.width, from_height_ = frame.height, width_ = width, height_ = height;
}

void Preprocess::line_across(const Frame& frame, int y, Lines& lines, std::vector<int>& out) const {
  read_rgb_row(frame, y, lines.rgb.data());
  for (std::size_t x = 0; x < across_.size(); x++) {
    const ResizeTap& tap = across_[x];
    for (int c = 0; c < 3; c++) {
      out[3 * x + c] = lines.rgb[3 * tap.first + c] * tap.weight[0] + lines.rgb[3 * tap.second + c] * tap.weight[1];
    }
  }
}

const std::uint8_t* Preprocess::line(const Frame& frame, int y, Lines& lines) const {
  if (from_width_ == width_ && from_height_ == height_) {
    read_rgb_row(frame, y, lines.result.data());
    return lines.result.data();
  }
  const ResizeTap& tap = down_[static_cast<std::size_t>(y)];
  if (lines.upper_row != tap.first) {
    if (lines.lower_row == tap.first) {
      std::swap(lines.upper, lines.lower);
      std::swap(lines.upper_row, lines.lower_row);
    } else {
      line_across(frame, tap.first, lines, lines.upper);
      lines.upper_row = tap.first;
    }
  }
  if (lines.lower_row != tap.second) {
    line_across(frame, tap.second, lines, lines.lower);
    lines.lower_row = tap.second;
  }
  for (std::size_t i = 0; i < lines.result.size(); i++) {
    // OpenCV's VResizeLinear: 22 bits of weight in three steps
    const int sum = ((tap.weight[0] * (lines.upper[i] >> 4)) >> 16) + ((tap.weight[1] * (lines.lower[i] >> 4)) >> 16);
    lines.result[i] = static_cast<std::uint8_t>(std::clamp((sum + 2) >> 2, 0, 255));
  }
  return lines.result.data();
}

void Preprocess::patch_row(const Frame& frame, int row, int patch, int thread, float* out, int stride) {
  const auto& levels = normalised_levels();
  Lines& lines = lines_[static_cast<std::size_t>(thread)];
  for (int i = 0; i < patch; i++) {
    const std::uint8_t* rgb = line(frame, row * patch + i, lines);
    for (int p = 0; p < width_ / patch; p++) {
      float* to = out + static_cast<std::ptrdiff_t>(p) * stride + i * patch;
      for (int j = 0; j < patch; j++, rgb += 3) {
        for (std::size_t c = 0; c < 3; c++) to[static_cast<int>(c) * patch * patch + j] = levels[c][rgb[c]];
      }
    }
  }
}

}  // namespace flow::cpu

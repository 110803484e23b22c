#include "cpu/preprocess.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace flow::cpu {

namespace {

void read_packed_row(const kernels::FrameView& frame, int y, std::uint8_t* rgb) {
  const auto& [red, green, blue] = frame.channels;
  const std::uint8_t* row = frame.data + y * red.stride;
  if (red.step == 3 && green.offset == red.offset + 1 && blue.offset == red.offset + 2) {
    std::memcpy(rgb, row + red.offset, 3 * static_cast<std::size_t>(frame.width));
    return;
  }
  for (int x = 0; x < frame.width; x++, row += red.step, rgb += 3) {
    rgb[0] = row[red.offset], rgb[1] = row[green.offset], rgb[2] = row[blue.offset];
  }
}

void read_yuv_row(const kernels::FrameView& frame, int y, std::uint8_t* rgb) {
  const std::uint8_t* rows[3];
  for (int c = 0; c < 3; c++) {
    const kernels::FrameChannel& at = frame.channels[c];
    rows[c] = frame.data + at.offset + (y >> at.down) * at.stride;
  }
  const auto sample = [&](int c, int x) -> int {
    const kernels::FrameChannel& at = frame.channels[c];
    return rows[c][(x >> at.across) * at.step];
  };
  const auto level = [](int v) { return static_cast<std::uint8_t>(std::clamp(v >> kernels::yuv_bits, 0, 255)); };
  const YuvToRgb& by = frame.to_rgb;
  for (int x = 0; x < frame.width; x++, rgb += 3) {
    const int light = (sample(0, x) - by.black) * by.luma + (1 << (kernels::yuv_bits - 1));
    const int u = sample(1, x) - 128, v = sample(2, x) - 128;
    rgb[0] = level(light + by.v_to_r * v);
    rgb[1] = level(light + by.u_to_g * u + by.v_to_g * v);
    rgb[2] = level(light + by.u_to_b * u);
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
  const kernels::FrameView view = view_of(frame);
  frame.format.is_yuv() ? read_yuv_row(view, y, rgb) : read_packed_row(view, y, rgb);
}

void Preprocess::plan(const Frame& frame, int height, int width, int threads) {
  for (RowBuffers& buffers : buffers_) buffers.upper_row = buffers.lower_row = -1;
  if (frame.width == from_width_ && frame.height == from_height_ && height == height_ && width == width_) return;
  from_width_ = 0;                                  // no plan is valid if an allocation below throws
  across_.resize(static_cast<std::size_t>(width));  // within the vectors' capacity, a new size allocates nothing
  down_.resize(static_cast<std::size_t>(height));
  find_resize_taps(frame.width, across_);
  find_resize_taps(frame.height, down_);
  buffers_.resize(static_cast<std::size_t>(threads));
  for (RowBuffers& buffers : buffers_) {
    buffers.rgb.resize(3 * static_cast<std::size_t>(frame.width));
    buffers.upper.resize(3 * static_cast<std::size_t>(width));
    buffers.lower.resize(3 * static_cast<std::size_t>(width));
    buffers.result.resize(3 * static_cast<std::size_t>(width));
  }
  from_width_ = frame.width, from_height_ = frame.height, width_ = width, height_ = height;
}

void Preprocess::resize_horizontally(const Frame& frame, int y, RowBuffers& buffers, std::vector<int>& out) const {
  read_rgb_row(frame, y, buffers.rgb.data());
  for (std::size_t x = 0; x < across_.size(); x++) {
    const ResizeTap& tap = across_[x];
    for (int c = 0; c < 3; c++) {
      out[3 * x + c] = buffers.rgb[3 * tap.first + c] * tap.weight[0] + buffers.rgb[3 * tap.second + c] * tap.weight[1];
    }
  }
}

const std::uint8_t* Preprocess::resized_row(const Frame& frame, int y, RowBuffers& buffers) const {
  if (from_width_ == width_ && from_height_ == height_) {
    read_rgb_row(frame, y, buffers.result.data());
    return buffers.result.data();
  }
  const ResizeTap& tap = down_[static_cast<std::size_t>(y)];
  if (buffers.upper_row != tap.first) {
    if (buffers.lower_row == tap.first) {
      std::swap(buffers.upper, buffers.lower);
      std::swap(buffers.upper_row, buffers.lower_row);
    } else {
      resize_horizontally(frame, tap.first, buffers, buffers.upper);
      buffers.upper_row = tap.first;
    }
  }
  if (buffers.lower_row != tap.second) {
    resize_horizontally(frame, tap.second, buffers, buffers.lower);
    buffers.lower_row = tap.second;
  }
  for (std::size_t i = 0; i < buffers.result.size(); i++) {
    // OpenCV's VResizeLinear: removes the weights' 22 bits in three steps, 4, 16 and 2
    const int sum =
        ((tap.weight[0] * (buffers.upper[i] >> 4)) >> 16) + ((tap.weight[1] * (buffers.lower[i] >> 4)) >> 16);
    buffers.result[i] = static_cast<std::uint8_t>(std::clamp((sum + 2) >> 2, 0, 255));
  }
  return buffers.result.data();
}

void Preprocess::patch_row(const Frame& frame, int row, int patch, int thread, float* out, int stride) {
  const auto& levels = normalised_levels();
  RowBuffers& buffers = buffers_[static_cast<std::size_t>(thread)];
  for (int i = 0; i < patch; i++) {
    const std::uint8_t* rgb = resized_row(frame, row * patch + i, buffers);
    for (int p = 0; p < width_ / patch; p++) {
      float* to = out + static_cast<std::ptrdiff_t>(p) * stride + i * patch;
      for (int j = 0; j < patch; j++, rgb += 3) {
        for (std::size_t c = 0; c < 3; c++) to[static_cast<int>(c) * patch * patch + j] = levels[c][rgb[c]];
      }
    }
  }
}

}  // namespace flow::cpu

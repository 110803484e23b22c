#pragma once

// Pixels of a frame of any format, as levels of R, G and B in 0..255.

#include "frame.h"
#include "kernel.cuh"

namespace flow::kernels {

struct Pixel {
  int channel[3];
};

DEVICE int clamp_level(int v) { return min(max(v, 0), 255); }

/// ITU-R BT.601, video range, in OpenCV's 20-bit fixed point (COLOR_YUV2RGB_NV12).
DEVICE Pixel nv12_to_rgb(int luma, int u, int v) {
  constexpr int bits = 20, half = 1 << (bits - 1);
  constexpr int y_gain = 1220542, v_to_r = 1673527, v_to_g = -852492, u_to_g = -409993, u_to_b = 2116026;
  const int y = max(0, luma - 16) * y_gain + half;
  u -= 128, v -= 128;
  return {clamp_level((y + v_to_r * v) >> bits), clamp_level((y + v_to_g * v + u_to_g * u) >> bits),
          clamp_level((y + u_to_b * u) >> bits)};
}

/// Reads pixels of interleaved channels. Channel positions are numbers, not branches, so that the loads of all pixels
/// are issued together.
struct PackedReader {
  const FrameView& frame;
  int step, red, green, blue;

  DEVICE explicit PackedReader(const FrameView& view) : frame(view) {
    const bool alpha = view.format == frame_rgba || view.format == frame_bgra, gray = view.format == frame_gray;
    const bool reversed = view.format == frame_bgr || view.format == frame_bgra;
    step = gray ? 1 : alpha ? 4 : 3;
    red = reversed ? 2 : 0;
    green = gray ? 0 : 1;
    blue = gray || reversed ? 0 : 2;
  }

  DEVICE Pixel operator()(int y, int x) const {
    const std::uint8_t* pixel = frame.data + y * frame.stride + x * step;
    return {pixel[red], pixel[green], pixel[blue]};
  }
};

struct Nv12Reader {
  const FrameView& frame;

  DEVICE Pixel operator()(int y, int x) const {
    const std::uint8_t* chroma = frame.data + (frame.height + y / 2) * frame.stride + x / 2 * 2;
    return nv12_to_rgb(frame.data[y * frame.stride + x], chroma[0], chroma[1]);
  }
};

}  // namespace flow::kernels

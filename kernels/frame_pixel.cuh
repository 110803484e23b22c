#pragma once

// Pixels of a frame of any format, as levels of R, G and B in 0..255.

#include "frame.h"
#include "kernel.cuh"

namespace flow::kernels {

struct Pixel {
  int channel[3];
};

DEVICE int clamp_level(int v) { return min(max(v, 0), 255); }

/// Reads pixels of interleaved R, G and B. Channel positions are numbers, not branches, so that the loads of all pixels
/// are issued together.
struct PackedReader {
  const FrameView& frame;

  DEVICE Pixel operator()(int y, int x) const {
    const FrameChannel &red = frame.channels[0], &green = frame.channels[1], &blue = frame.channels[2];
    const std::uint8_t* pixel = frame.data + y * red.stride + x * red.step;
    return {pixel[red.offset], pixel[green.offset], pixel[blue.offset]};
  }
};

/// Reads pixels of Y, U and V as R, G and B.
struct YuvReader {
  const FrameView& frame;

  DEVICE int sample(int channel, int y, int x) const {
    const FrameChannel& at = frame.channels[channel];
    return frame.data[at.offset + (y >> at.down) * at.stride + (x >> at.across) * at.step];
  }
  DEVICE Pixel operator()(int y, int x) const {
    const YuvToRgb& by = frame.to_rgb;
    const int light = (sample(0, y, x) - by.black) * by.luma + (1 << (yuv_bits - 1));
    const int u = sample(1, y, x) - 128, v = sample(2, y, x) - 128;
    return {clamp_level((light + by.v_to_r * v) >> yuv_bits),
            clamp_level((light + by.u_to_g * u + by.v_to_g * v) >> yuv_bits),
            clamp_level((light + by.u_to_b * u) >> yuv_bits)};
  }
};

}  // namespace flow::kernels

#pragma once

#include <cstdint>

// A camera's frame, as kernels take it. No format has a name here: a frame says where its samples are, and how they
// become R, G and B. So kernels read any 8-bit format, and lib/pixel-formats.ts alone lists those that there are.

namespace flow::kernels {

/// The samples of one channel: that of pixel (y, x) is the byte at offset + (y >> down) * stride + (x >> across) * step
/// from the frame's first.
struct FrameChannel {
  long long offset, stride;
  int step;
  int across, down;  // 0; 1 if two pixels share a sample; 2 if four do
};

/// Y, U and V become R, G and B, in units of 2^-20 levels: R = luma * (Y - black) + v_to_r * (V - 128), and so on,
/// rounded to levels. `luma` is 0 if the channels are R, G and B already.
struct YuvToRgb {
  int black;
  int luma, v_to_r, u_to_g, v_to_g, u_to_b;

  bool operator==(const YuvToRgb&) const = default;
};
constexpr int yuv_bits = 20;
/// Most of a factor's magnitude: sums of three products stay within 32 bits.
constexpr int yuv_most = 4000000;

struct FrameView {
  const std::uint8_t* data;
  int width, height;
  FrameChannel channels[3];  // R, G, B or Y, U, V. Those of R, G and B differ in their offsets only.
  YuvToRgb to_rgb;
};

}  // namespace flow::kernels

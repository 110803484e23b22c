#pragma once

#include <cstdint>

// Parameters of preprocess.cu: preprocess_TYPE, TYPE (f32, f16, bf16) of `patches`. A thread makes one pixel, three
// values; the grid is (ceil(width / 32), ceil(height / 8)), the block 32 x 8.

namespace flow::kernels {

/// As flow::PixelFormat.
enum FrameFormat { frame_rgb, frame_rgba, frame_bgr, frame_bgra, frame_gray, frame_nv12 };

/// Where a resized pixel comes from: OpenCV's INTER_LINEAR of 8-bit pictures, weights of 11 bits.
struct ResizeTap {
  int first, second;
  int weight[2];  // of 2048
};

struct PreprocessParams {
  const std::uint8_t* frame;
  long long stride;  // bytes
  int frame_width, frame_height;
  int format;
  const ResizeTap* across;  // width; null where the frame has the size already
  const ResizeTap* down;    // height
  int width, height;        // multiples of patch
  int patch;
  void* patches;  // height / patch * width / patch rows of 3 * patch * patch, (channel, y, x), ldp apart
  int ldp;
};

}  // namespace flow::kernels

#pragma once

#include <cstdint>

// A camera's frame, as kernels take it.

namespace flow::kernels {

/// The values of flow::PixelFormat.
enum FrameFormat { frame_rgb, frame_rgba, frame_bgr, frame_bgra, frame_gray, frame_nv12 };

struct FrameView {
  const std::uint8_t* data;
  long long stride;  // bytes
  int width, height;
  int format;
};

}  // namespace flow::kernels

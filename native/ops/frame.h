#pragma once

#include <cstddef>
#include <cstdint>

namespace flow {

enum class PixelFormat { rgb, rgba, bgr, bgra, gray, nv12 };

/// A frame in the caller's memory, read in place. `stride` is bytes from one row to the next.
/// nv12: `height` rows of luma, then `height / 2` rows of interleaved U and V, all of the same stride; sides are even.
struct Frame {
  const std::uint8_t* data;
  int width;
  int height;
  std::ptrdiff_t stride;
  PixelFormat format;
};

}  // namespace flow

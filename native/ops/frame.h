#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

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

/// Bytes of the pixels of one row of a frame.
constexpr std::ptrdiff_t row_bytes(PixelFormat format, int width) {
  switch (format) {
    case PixelFormat::rgb:
    case PixelFormat::bgr: return 3 * static_cast<std::ptrdiff_t>(width);
    case PixelFormat::rgba:
    case PixelFormat::bgra: return 4 * static_cast<std::ptrdiff_t>(width);
    case PixelFormat::gray:
    case PixelFormat::nv12: return width;
  }
  return 0;
}

/// Rows of a frame in memory, with the chroma rows of nv12.
constexpr int stored_rows(PixelFormat format, int height) {
  return format == PixelFormat::nv12 ? height / 2 * 3 : height;
}

/// The bytes from a frame's first pixel to its last, with the padding between rows.
inline std::span<const std::byte> bytes_of(const Frame& frame) {
  const std::ptrdiff_t before_last = (stored_rows(frame.format, frame.height) - 1) * frame.stride;
  return {reinterpret_cast<const std::byte*>(frame.data),
          static_cast<std::size_t>(before_last + row_bytes(frame.format, frame.width))};
}

}  // namespace flow

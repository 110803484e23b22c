#include "model/frame_copy.h"

#include <cstring>

namespace flow {

void FrameCopy::assign(const Frame& frame) {
  const auto row = static_cast<std::size_t>(row_bytes(frame.format, frame.width));
  const int rows = stored_rows(frame.format, frame.height);
  pixels_.resize(row * static_cast<std::size_t>(rows));
  for (int y = 0; y < rows; y++) std::memcpy(&pixels_[y * row], frame.data + y * frame.stride, row);
  width_ = frame.width, height_ = frame.height, format_ = frame.format;
}

bool FrameCopy::equals(const Frame& frame) const {
  if (pixels_.empty() || frame.width != width_ || frame.height != height_ || frame.format != format_) return false;
  const auto row = static_cast<std::size_t>(row_bytes(frame.format, frame.width));
  const int rows = stored_rows(frame.format, frame.height);
  for (int y = 0; y < rows; y++) {
    if (std::memcmp(&pixels_[y * row], frame.data + y * frame.stride, row) != 0) return false;
  }
  return true;
}

}  // namespace flow

#include "model/frame_copy.h"

#include <cstring>

namespace flow {

void FrameCopy::assign(const Frame& frame) {
  pixels_.resize(bytes_of(tight(frame, nullptr)).size());
  copy_ = tight(frame, pixels_.data());
  copy_samples(frame, pixels_.data());
}

bool FrameCopy::equals(const Frame& frame) const {
  if (pixels_.empty() || tight(frame, pixels_.data()) != copy_) return false;
  for (int p = 0; p < frame.format.plane_count(); p++) {
    const PlaneSize size = size_of_plane(frame, p);
    for (int y = 0; y < size.rows; y++) {
      if (std::memcmp(row_of(copy_, p, y), row_of(frame, p, y), static_cast<std::size_t>(size.row)) != 0) return false;
    }
  }
  return true;
}

}  // namespace flow

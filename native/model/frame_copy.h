#pragma once

#include <cstdint>
#include <vector>

#include "ops/frame.h"

namespace flow {

/// A copy of a frame's pixels, to find out whether another frame is the same byte for byte.
class FrameCopy {
 public:
  /// Reuses the memory of the copy before.
  void assign(const Frame& frame);
  void forget() { pixels_.clear(); }
  /// False if there is no copy.
  bool equals(const Frame& frame) const;

 private:
  std::vector<std::uint8_t> pixels_;
  Frame copy_{};  // tight, in `pixels_`
};

}  // namespace flow

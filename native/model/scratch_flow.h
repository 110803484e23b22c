#pragma once

#include <cstdint>
#include <memory>

#include "ops/ops.h"

namespace flow {

/// Memory for a flow that the caller does not ask for, but that other results need. It grows to the largest output.
class ScratchFlow {
 public:
  RealMatrix get(Ops& ops, int height, int width) {
    const int rows = 2 * height, stride = ops.stride(width);
    const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride);
    if (bytes > bytes_) {
      bytes_ = 0;
      memory_.reset();
      memory_ = ops.allocate(bytes);
      bytes_ = bytes;
      number_++;
    }
    return {memory_->data(), rows, width, stride};
  }
  /// Changes with the memory, so a recorded sequence is known by it.
  std::uint64_t number() const { return number_; }

 private:
  std::unique_ptr<Memory> memory_;
  std::size_t bytes_ = 0;
  std::uint64_t number_ = 0;
};

}  // namespace flow

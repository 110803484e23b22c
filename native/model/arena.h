#pragma once

#include <cstddef>
#include <memory>

#include "ops/ops.h"

namespace flow {

/// All intermediate matrices of one input size, in one block of the engine's memory. `lay_out(arena)` asks for them
/// with `matrix`; it is called twice, first to measure and then to place.
class Arena {
 public:
  template <class LayOut>
  Arena(Ops& ops, const LayOut& lay_out) : ops_(ops) {
    lay_out(*this);
    memory_ = ops.allocate(bytes_);
    bytes_ = 0;
    lay_out(*this);
  }

  template <class Kind>
  Matrix<Kind> matrix(int rows, int cols) {
    constexpr std::size_t alignment = 256;
    const int stride = ops_.stride(cols);
    const std::size_t element = std::is_same_v<Kind, Real> ? sizeof(float) : ops_.operand_bytes();
    void* at = memory_ ? static_cast<std::byte*>(memory_->data()) + bytes_ : nullptr;
    const std::size_t size = static_cast<std::size_t>(rows) * stride * element;
    bytes_ += (size + alignment - 1) / alignment * alignment;
    return {at, rows, cols, stride};
  }

  std::size_t bytes() const { return bytes_; }

 private:
  Ops& ops_;
  std::unique_ptr<Memory> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace flow

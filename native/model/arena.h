#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

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
    const int stride = ops_.stride(cols);
    return {take<Kind>(static_cast<std::size_t>(rows) * stride), rows, cols, stride};
  }

  /// Elements without rows or columns, in a layout that only the engine knows.
  template <class Kind>
  Matrix<Kind> block(std::size_t elements) {
    return {take<Kind>(elements), 1, 0, 0};
  }

  /// Two sets of matrices that are never in use at the same time, in the same memory.
  template <class First, class Second>
  void share(const First& first, const Second& second) {
    const std::size_t start = bytes_;
    first();
    const std::size_t end = std::exchange(bytes_, start);
    second();
    bytes_ = std::max(bytes_, end);
  }

  std::size_t bytes() const { return bytes_; }

 private:
  template <class Kind>
  void* take(std::size_t elements) {
    constexpr std::size_t alignment = 256;
    const std::size_t element = std::is_same_v<Kind, Real> ? sizeof(float) : ops_.operand_bytes();
    void* at = memory_ ? static_cast<std::byte*>(memory_->data()) + bytes_ : nullptr;
    bytes_ += (elements * element + alignment - 1) / alignment * alignment;
    return at;
  }

  Ops& ops_;
  std::unique_ptr<Memory> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace flow

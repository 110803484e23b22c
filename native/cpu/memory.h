#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "ops/ops.h"

namespace flow::cpu {

/// Zeroed floats, aligned to a cache line; in huge pages if the system provides them.
class AlignedFloats {
 public:
  AlignedFloats() = default;
  /// Throws Error(out_of_memory).
  explicit AlignedFloats(std::size_t count);

  float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::span<float> span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(float* p) const;
  };
  std::unique_ptr<float[], Free> data_;
  std::size_t size_ = 0;
};

class CpuMemory : public Memory {
 public:
  explicit CpuMemory(std::size_t bytes) : floats_((bytes + sizeof(float) - 1) / sizeof(float)) {}
  void* data() const override { return floats_.data(); }
  std::size_t size() const override { return floats_.size() * sizeof(float); }

 private:
  AlignedFloats floats_;
};

}  // namespace flow::cpu

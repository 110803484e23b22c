#pragma once

#include "cuda/device.h"
#include "ops/memory.h"

namespace flow::cuda {

/// Memory of the device that other code of this process allocated, such as a decoder or another network. Its owner
/// frees it.
class ForeignMemory : public Memory {
 public:
  /// The allocation that all of `bytes` lie in, known from now on. Throws Error(argument) if that is not memory in
  /// which kernels of the context compute: of this device and its primary context, or page-locked memory of the host
  /// where the GPU shares it. Any thread.
  static MemoryPtr find(const ContextPtr& context, std::span<const std::byte> bytes);

  ForeignMemory(ContextPtr context, void* data, std::size_t size);

  void* data() const override { return data_; }
  std::size_t size() const override { return size_; }
  int device() const override { return context_->device().index; }
  bool is_there() const override;

 private:
  ContextPtr context_;
  void* data_;
  std::size_t size_;
};

}  // namespace flow::cuda

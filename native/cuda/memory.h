#pragma once

#include <bit>

#include "cuda/stream.h"
#include "ops/ops.h"

namespace flow::cuda {

/// Device memory, zeroed on `stream`. Freeing it waits for all work on the device.
class DeviceMemory : public Memory {
 public:
  /// Throws Error(out_of_memory).
  DeviceMemory(std::size_t bytes, const Stream& stream);

  void* data() const override { return std::bit_cast<void*>(memory_.get()); }
  std::size_t size() const override { return size_; }
  int device() const override { return memory_.context()->device().index; }

 private:
  std::size_t size_;
  Owned<CUdeviceptr, &Driver::cuMemFree> memory_;
};

/// Page-locked host memory: copies to and from it are asynchronous. Not zeroed.
class PinnedMemory {
 public:
  /// Throws Error(out_of_memory).
  PinnedMemory(const ContextPtr& context, std::size_t bytes);

  void* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }
  /// The address that kernels use. It pays on integrated GPUs, where this is their own memory.
  CUdeviceptr device_pointer() const;

 private:
  std::size_t size_;
  Owned<void*, &Driver::cuMemFreeHost> memory_;
};

}  // namespace flow::cuda

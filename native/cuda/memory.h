#pragma once

#include <bit>

#include "cuda/stream.h"
#include "ops/ops.h"

namespace flow::cuda {

/// Memory of the device, zeroed on `stream`. Freeing it waits for what runs on the device.
class DeviceMemory : public Memory {
 public:
  /// Throws Error(out_of_memory).
  DeviceMemory(std::size_t bytes, const Stream& stream);

  void* data() const override { return std::bit_cast<void*>(memory_.get()); }

 private:
  Owned<CUdeviceptr, &Driver::cuMemFree> memory_;
};

/// Memory of the host that stays where it is, so that copies to and from it are asynchronous. Not zeroed.
class PinnedMemory {
 public:
  /// Throws Error(out_of_memory).
  PinnedMemory(const ContextPtr& context, std::size_t bytes);

  void* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }
  /// Where kernels find it: worth it on integrated GPUs, whose memory it is.
  CUdeviceptr device_pointer() const;

 private:
  std::size_t size_;
  Owned<void*, &Driver::cuMemFreeHost> memory_;
};

}  // namespace flow::cuda

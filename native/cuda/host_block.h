#pragma once

#include <memory>
#include <span>

#include "cuda/memory.h"
#include "engine/host_memory.h"

namespace flow::cuda {

/// Page-locked memory for frames and results. Every CUDA engine of the process finds such a block by its addresses. It
/// copies to and from the block directly or, where the GPU shares the host's memory, computes in it. A block keeps the
/// context alive. The thread that lets go of it last frees it.
class HostBlock : public HostMemory {
 public:
  /// Any thread. Throws Error(out_of_memory).
  static std::shared_ptr<const HostBlock> allocate(const ContextPtr& context, std::size_t bytes);
  /// The block that all of `bytes` lie in, or null. Any thread.
  static std::shared_ptr<const HostBlock> holding(std::span<const std::byte> bytes);

  HostBlock(const ContextPtr& context, std::size_t bytes);

  std::span<std::byte> bytes() const override { return {static_cast<std::byte*>(memory_.data()), memory_.size()}; }
  /// The device address of `host`, which lies within the block.
  std::byte* device_address(const void* host) const;

 private:
  PinnedMemory memory_;
};

using HostBlockPtr = std::shared_ptr<const HostBlock>;

}  // namespace flow::cuda

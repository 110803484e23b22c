#pragma once

#include <memory>
#include <span>

#include "cuda/memory.h"

namespace flow::cuda {

/// Page-locked memory for frames and results. Every CUDA engine of the process finds such a block by its addresses. It
/// copies to and from the block directly or, where the GPU shares the host's memory, computes in it. A block keeps the
/// context alive. The thread that lets go of it last frees it.
class HostBlock : public Memory {
 public:
  /// Any thread. Throws Error(out_of_memory).
  static std::shared_ptr<const HostBlock> allocate(const ContextPtr& context, std::size_t bytes);
  /// The block that all of `bytes` lie in, or null. Any thread.
  static std::shared_ptr<const HostBlock> holding(std::span<const std::byte> bytes);

  HostBlock(const ContextPtr& context, std::size_t bytes);

  void* data() const override { return memory_.data(); }
  std::size_t size() const override { return memory_.size(); }
  bool is_page_locked() const override { return true; }
  /// The device address of `host`, which lies within the block.
  std::byte* device_address(const void* host) const;

 private:
  PinnedMemory memory_;
};

using HostBlockPtr = std::shared_ptr<const HostBlock>;

}  // namespace flow::cuda

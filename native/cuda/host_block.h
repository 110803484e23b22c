#pragma once

#include <memory>
#include <span>

#include "cuda/memory.h"

namespace flow::cuda {

/// Page-locked memory for frames and results, zeroed. Every CUDA engine of the process knows such a block by its
/// addresses, and copies to and from it directly or, where the GPU shares the host's memory, computes in it. It keeps
/// the context alive, may outlive the engine that it was made for, and is freed on whatever thread lets go of it last;
/// that may wait for what runs on the GPU. Who hands a part of a block to an engine holds the block meanwhile.
class HostBlock {
 public:
  /// On any thread. Throws Error(out_of_memory).
  static std::shared_ptr<const HostBlock> allocate(const ContextPtr& context, std::size_t bytes);
  /// The block that all of `bytes` lie in, or null. On any thread.
  static std::shared_ptr<const HostBlock> holding(std::span<const std::byte> bytes);

  HostBlock(const ContextPtr& context, std::size_t bytes);
  ~HostBlock();
  HostBlock(const HostBlock&) = delete;
  HostBlock& operator=(const HostBlock&) = delete;

  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory_.data()), memory_.size()}; }
  /// Where kernels find what is at `host`, within the block.
  std::byte* device_address(const void* host) const;

 private:
  PinnedMemory memory_;
};

using HostBlockPtr = std::shared_ptr<const HostBlock>;

}  // namespace flow::cuda

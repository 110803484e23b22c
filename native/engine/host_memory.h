#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace flow {

/// Host memory that an engine reads frames from and writes results to without a copy. Zeroed. It may outlive its
/// engine. Freeing it may wait for work on the device.
class HostMemory {
 public:
  virtual ~HostMemory() = default;
  virtual std::span<std::byte> bytes() const = 0;
};

using HostMemoryPtr = std::shared_ptr<const HostMemory>;

/// From now on `holding` finds this memory. The registry does not own it. Any thread.
void register_host_memory(const HostMemoryPtr& memory);

/// The registered memory that contains all of `bytes`, or null. An engine uses such memory directly, so the caller must
/// keep the returned pointer until the engine is done. Any thread.
HostMemoryPtr holding(std::span<const std::byte> bytes);

}  // namespace flow

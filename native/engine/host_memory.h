#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace flow {

/// Memory of the host that an engine reads frames from, and writes results to, without a copy in between. Zeroed. It
/// may outlive its engine. Freeing it may wait for what runs on the device.
class HostMemory {
 public:
  virtual ~HostMemory() = default;
  virtual std::span<std::byte> bytes() const = 0;
};

using HostMemoryPtr = std::shared_ptr<const HostMemory>;

/// From now on `holding` finds this memory, as long as somebody else owns it. Any thread.
void register_host_memory(const HostMemoryPtr& memory);

/// The registered memory that all of `bytes` lie in, or null. An engine that is handed a part of such memory uses it
/// directly, so the caller keeps what is returned until the engine is done. Any thread.
HostMemoryPtr holding(std::span<const std::byte> bytes);

}  // namespace flow

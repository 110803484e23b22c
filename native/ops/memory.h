#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace flow {

/// A block of memory that an engine computes in; freed with the object. Zeroed when allocated. It may outlive its
/// engine. Freeing it may wait for work on the device.
class Memory {
 public:
  /// Stands for the CPU among the indices of GPUs.
  static constexpr int host = -1;

  virtual ~Memory() = default;
  virtual void* data() const = 0;
  virtual std::size_t size() const = 0;  // bytes
  /// The index of the GPU whose memory it is; `host` if the CPU can read it.
  virtual int device() const { return host; }
  /// Whether a GPU copies host memory directly.
  virtual bool is_page_locked() const { return false; }
  /// Whether the end of the object may wait for work on a device.
  virtual bool waits_at_end() const { return true; }
  /// False if other code owns the memory and has freed it.
  virtual bool is_there() const { return true; }

  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data()), size()}; }
};

using MemoryPtr = std::shared_ptr<const Memory>;

}  // namespace flow

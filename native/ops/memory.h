#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace flow {

/// A block of memory that an engine computes in. It may outlive its engine. If the engine allocated it, it is freed
/// with the object, which may wait for work on the device.
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
  /// Tells that other code uses the memory in an order that the engine does not know. The engine then frees it at its
  /// end, which waits for all work on the device, instead of giving it to somebody else.
  virtual void expect_other_users() const {}
  /// Whether the end of the object may wait for work on a device.
  virtual bool waits_at_end() const { return true; }
  /// False if other code owns the memory and has freed it.
  virtual bool is_there() const { return true; }

  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data()), size()}; }
};

using MemoryPtr = std::shared_ptr<const Memory>;

}  // namespace flow

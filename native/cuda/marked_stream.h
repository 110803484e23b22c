#pragma once

#include <cstdint>
#include <memory>

#include "cuda/event_pool.h"
#include "ops/other_stream.h"

namespace flow::cuda {

/// A stream that other code of this process made in the primary context of the device, or a default stream.
class MarkedStream : public OtherStream {
 public:
  /// Records an event on the stream of that handle: 0 and 1 are the legacy default stream, 2 is the default stream of
  /// the calling thread. Throws Error(argument) for a stream of another context, one that is being captured, and a
  /// handle that the driver does not know. (It does not know all: some that are no streams crash it.) Any thread.
  static OtherStreamPtr mark(const ContextPtr& context, EventPool& events, std::uint64_t handle);

  MarkedStream(std::uint64_t handle, std::shared_ptr<const Event> marked)
      : handle_(handle), marked_(std::move(marked)) {}

  /// The point in the stream.
  const Event& marked() const { return *marked_; }
  /// Lets work that the stream gets from now on wait for `event`.
  void wait(const Event& event) const;

 private:
  std::uint64_t handle_;
  std::shared_ptr<const Event> marked_;
};

}  // namespace flow::cuda

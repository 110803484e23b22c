#pragma once

#include <functional>

#include "cuda/device.h"

namespace flow::cuda {

class Stream;

/// What a capture recorded, ready to run.
class GraphExec {
 public:
  GraphExec() = default;
  GraphExec(const ContextPtr& context, CUgraph graph);

  explicit operator bool() const { return executable_.get() != nullptr; }
  void launch(const Stream& stream) const;

 private:
  Owned<CUgraphExec, &Driver::cuGraphExecDestroy> executable_;
};

/// A queue of the device's, independent of the default stream.
class Stream {
 public:
  explicit Stream(const ContextPtr& context);

  CUstream get() const { return stream_.get(); }
  const ContextPtr& context() const { return stream_.context(); }

  /// Waits for all that was queued.
  void synchronize() const;

  /// Records what `calls` queue here instead of running it. They must not allocate, nor wait. Their exception ends the
  /// recording.
  GraphExec capture(const std::function<void()>& calls) const;

 private:
  Owned<CUstream, &Driver::cuStreamDestroy> stream_;
};

/// A point in a stream.
class Event {
 public:
  enum class Timing { off, on };
  explicit Event(const ContextPtr& context, Timing timing = Timing::off);

  void record(const Stream& stream) const;
  /// Waits for the point that was recorded last.
  void synchronize() const;
  /// Time from `start` to this event; both with timing, recorded and past.
  float milliseconds_since(const Event& start) const;

 private:
  Owned<CUevent, &Driver::cuEventDestroy> event_;
};

}  // namespace flow::cuda

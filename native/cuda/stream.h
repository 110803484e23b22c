#pragma once

#include <functional>

#include "cuda/device.h"
#include "engine/wait.h"

namespace flow::cuda {

class Stream;

/// A captured graph, ready to launch.
class GraphExec {
 public:
  GraphExec() = default;
  GraphExec(const ContextPtr& context, CUgraph graph);

  explicit operator bool() const { return executable_.get() != nullptr; }
  void launch(const Stream& stream) const;

 private:
  Owned<CUgraphExec, &Driver::cuGraphExecDestroy> executable_;
};

/// A point in a stream.
class Event {
 public:
  enum class Timing { off, on };
  /// `wait`: how `synchronize` waits.
  explicit Event(const ContextPtr& context, Timing timing = Timing::off, Wait wait = Wait::spin);

  void record(const Stream& stream) const;
  /// Waits for the last recorded point.
  void synchronize() const;
  /// Time from `start` to this event. Both must have timing, and their points must be recorded and past.
  float milliseconds_since(const Event& start) const;
  CUevent get() const { return event_.get(); }

 private:
  Owned<CUevent, &Driver::cuEventDestroy> event_;
};

/// A queue of device work, independent of the default stream.
class Stream {
 public:
  /// `wait`: how `synchronize` waits.
  explicit Stream(const ContextPtr& context, Wait wait = Wait::spin);

  CUstream get() const { return stream_.get(); }
  const ContextPtr& context() const { return stream_.context(); }

  /// Waits for all queued work. Not for two threads at a time.
  void synchronize() const;
  /// Lets later work of this stream wait for the last recorded point of `event`, which may be one of another stream.
  void wait(const Event& event) const;

  /// Captures the work that `calls` queue here, instead of running it. `calls` must neither allocate nor wait. If they
  /// throw, the capture ends.
  GraphExec capture(const std::function<void()>& calls) const;

 private:
  Owned<CUstream, &Driver::cuStreamDestroy> stream_;
  Event end_;  // of the queued work, for `synchronize`
};

}  // namespace flow::cuda

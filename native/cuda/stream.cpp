#include "cuda/stream.h"

namespace flow::cuda {

namespace {

using Graph = Owned<CUgraph, &Driver::cuGraphDestroy>;

/// A stream capture. It ends with the object at the latest.
class Capture {
 public:
  explicit Capture(const Stream& stream) : stream_(stream) {
    // Captures this thread's calls only: other threads may allocate meanwhile.
    check(driver().cuStreamBeginCapture(stream.get(), CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  }
  ~Capture() {
    if (!ended_) end();
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  Graph finish() {
    check(end(), "cuStreamEndCapture");
    return std::move(graph_);
  }

 private:
  CUresult end() {
    ended_ = true;
    CUgraph graph = nullptr;
    const CUresult result = driver().cuStreamEndCapture(stream_.get(), &graph);
    graph_ = Graph(stream_.context(), graph);
    return result;
  }

  const Stream& stream_;
  bool ended_ = false;
  Graph graph_;
};

CUstream create_stream() {
  CUstream stream = nullptr;
  check(driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  return stream;
}

CUevent create_event(unsigned flags) {
  CUevent event = nullptr;
  check(driver().cuEventCreate(&event, flags), "cuEventCreate");
  return event;
}

}  // namespace

GraphExec::GraphExec(const ContextPtr& context, CUgraph graph) {
  const Context::Scope scope(*context);
  CUgraphExec executable = nullptr;
  check(driver().cuGraphInstantiate(&executable, graph, 0), "cuGraphInstantiateWithFlags");
  executable_ = {context, executable};
}

void GraphExec::launch(const Stream& stream) const {
  check(driver().cuGraphLaunch(executable_.get(), stream.get()), "cuGraphLaunch");
}

Stream::Stream(const ContextPtr& context, Wait wait) : end_(context, Event::Timing::off, wait) {
  const Context::Scope scope(*context);
  stream_ = {context, create_stream()};
}

/// By an event, because only an event says how its waiter waits. A stream leaves that to the flags of the context,
/// which others of the process use as well.
void Stream::synchronize() const {
  end_.record(*this);
  end_.synchronize();
}

void Stream::wait(const Event& event) const {
  check(driver().cuStreamWaitEvent(stream_.get(), event.get(), 0), "cuStreamWaitEvent");
}

GraphExec Stream::capture(const std::function<void()>& calls) const {
  const Context::Scope scope(*context());
  Capture capture(*this);
  calls();
  const Graph graph = capture.finish();
  return {context(), graph.get()};
}

Event::Event(const ContextPtr& context, Timing timing, Wait wait) {
  const Context::Scope scope(*context);
  event_ = {context, create_event((timing == Timing::on ? CU_EVENT_DEFAULT : CU_EVENT_DISABLE_TIMING) |
                                  (wait == Wait::block ? CU_EVENT_BLOCKING_SYNC : CU_EVENT_DEFAULT))};
}

void Event::record(const Stream& stream) const {
  check(driver().cuEventRecord(event_.get(), stream.get()), "cuEventRecord");
}

void Event::synchronize() const { check(driver().cuEventSynchronize(event_.get()), "cuEventSynchronize"); }

float Event::milliseconds_since(const Event& start) const {
  float milliseconds = 0;
  check(driver().cuEventElapsedTime(&milliseconds, start.event_.get(), event_.get()), "cuEventElapsedTime");
  return milliseconds;
}

}  // namespace flow::cuda

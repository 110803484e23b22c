#include <algorithm>
#include <utility>

#include "call.h"
#include "exports.h"
#include "trace.h"

// Streams, graphs, events.

namespace emu {

QueuePtr queue_of(const State& s, Context& context, CUstream handle) {
  const auto number = reinterpret_cast<std::uintptr_t>(handle);
  if (number <= CU_STREAM_LEGACY) return context.legacy;
  if (number == CU_STREAM_PER_THREAD) {
    QueuePtr& queue = context.per_thread[std::this_thread::get_id()];
    if (queue == nullptr) queue = std::make_shared<Queue>(true);
    return queue;
  }
  const Stream* const stream = s.streams.find(handle);
  return stream == nullptr || stream->context != &context ? nullptr : stream->queue;
}

Submission submit_after(State& s, Context& context, CUstream handle, std::vector<PointPtr> after, Operation operation) {
  const QueuePtr queue = queue_of(s, context, handle);
  if (queue == nullptr) return {CUDA_ERROR_INVALID_HANDLE};
  if (Stream* const stream = s.streams.find(handle)) {
    switch (stream->capture_status()) {
      case Stream::none: break;
      case Stream::capturing: stream->add(std::move(operation)); return {CUDA_SUCCESS};
      case Stream::invalidated: return {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED};
    }
  }
  if (queue == context.legacy) {
    if (Stream* const capturing = s.capture_of_this_thread(); capturing != nullptr && capturing->blocking) {
      capturing->capture = Stream::invalidated;
      return {CUDA_ERROR_STREAM_CAPTURE_IMPLICIT};
    }
    const std::vector<PointPtr> others = context.queues.ends_of_blocking();
    after.insert(after.end(), others.begin(), others.end());
  } else if (queue->blocking) {
    if (PointPtr end = Queues::end_of(*context.legacy)) after.push_back(std::move(end));
  }
  if (context.queues.at_once()) return {operation()};
  return {CUDA_SUCCESS, context.queues.add(queue, std::move(after), std::move(operation))};
}

CUresult submit(State& s, Context& context, CUstream handle, Operation operation) {
  return submit_after(s, context, handle, {}, std::move(operation)).result;
}

namespace {

/// Runs the nodes of a graph in an order that its edges and EMULATOR_STREAMS allow. Stops at an error of the context.
void run_nodes(Context& context, const std::vector<Node>& nodes) {
  std::vector<std::size_t> ready, left;  // `left`: of each node, the nodes before it that have not run
  for (std::size_t i = 0; i < nodes.size(); i++) {
    left.push_back(nodes[i].after.size());
    if (left[i] == 0) ready.push_back(i);
  }
  while (!ready.empty() && context.error == CUDA_SUCCESS) {
    const std::size_t chosen = context.queues.choose(ready.size()), node = ready[chosen];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(chosen));
    if (const CUresult result = nodes[node].operation(); result != CUDA_SUCCESS) context.error = result;
    for (std::size_t i = node + 1; i < nodes.size(); i++) {
      if (std::ranges::count(nodes[i].after, node) == 0 || --left[i] != 0) continue;
      ready.insert(std::ranges::lower_bound(ready, i), i);
    }
  }
}

void add_all(const std::vector<std::size_t>& from, std::vector<std::size_t>& to) {
  for (const std::size_t node : from) {
    if (std::ranges::count(to, node) == 0) to.push_back(node);
  }
}

/// Whether the node is among `ends`, or one of `ends` runs after it.
bool leads_to(const std::vector<Node>& nodes, std::size_t node, const std::vector<std::size_t>& ends) {
  return std::ranges::any_of(ends,
                             [&](std::size_t end) { return end == node || leads_to(nodes, node, nodes[end].after); });
}

}  // namespace

void check_guards(Context& context, const std::string& what) {
  const std::string broken = context.memory.broken_guard();
  if (broken.empty()) return;
  report(broken + ", found after " + what);
  context.error = CUDA_ERROR_ILLEGAL_ADDRESS;
}

}  // namespace emu

namespace flow::cuda {

using namespace emu;

// ---- streams -----------------------------------------------------------------------------------------------------

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  return context_call("cuStreamCreate", Capture::allowed, [&](State& s, Context& context) {
    if (stream == nullptr || flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    *stream = s.streams.add(&context, flags != CU_STREAM_NON_BLOCKING);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return context_call("cuStreamDestroy", Capture::allowed, [&](State& s, Context&) {
    return s.streams.remove(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;  // its queue stays until it is empty
  });
}

CUresult cuStreamSynchronize(CUstream handle) {
  return context_call("cuStreamSynchronize", Capture::allowed, [&](State& s, Context& context) {
    const QueuePtr queue = queue_of(s, context, handle);
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    Stream* const stream = queue == context.legacy ? s.capture_of_this_thread() : s.streams.find(handle);
    if (stream != nullptr && stream->capture != Stream::none) {
      stream->capture_origin().capture = Stream::invalidated;
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    trace("wait-default", nullptr, 0);
    if (queue == context.legacy) {
      for (const PointPtr& end : context.queues.ends_of_blocking()) context.queues.run_until(end);
    } else {
      context.queues.run_until(Queues::end_of(*queue));
    }
    check_guards(context, "cuStreamSynchronize");
    return context.error;
  });
}

CUresult cuStreamGetCtx(CUstream handle, CUcontext* to) {
  return context_call("cuStreamGetCtx", Capture::allowed, [&](State& s, Context&) {
    if (to == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (reinterpret_cast<std::uintptr_t>(handle) <= CU_STREAM_PER_THREAD) {
      *to = current_context;
      return CUDA_SUCCESS;
    }
    const Stream* const stream = s.streams.find(handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    for (const auto& [device, context] : s.primary_contexts) {
      if (s.contexts.find(context) == stream->context) *to = context;
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  return context_call("cuStreamIsCapturing", Capture::allowed, [&](State& s, Context& context) {
    if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const QueuePtr queue = queue_of(s, context, handle);
    if (queue == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (queue == context.legacy) {
      const Stream* const capturing = s.capture_of_this_thread();
      if (capturing != nullptr && capturing->blocking) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    const Stream* const stream = s.streams.find(handle);
    *status = static_cast<CUstreamCaptureStatus>(stream == nullptr ? Stream::none : stream->capture_status());
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned flags) {
  return context_call("cuStreamWaitEvent", Capture::allowed, [&](State& s, Context& context) {
    const Event* const found = s.events.find(event);
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (found == nullptr || found->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (Stream* to = s.streams.find(handle); to != nullptr && (to->capture == Stream::capturing || found->captured)) {
      if (!found->captured || (to->capture != Stream::none && &to->capture_origin() != found->origin)) {
        to->capture_origin().capture = Stream::invalidated;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
      }
      const bool exists = s.streams.find_if([&](const Stream& stream) { return &stream == found->origin; }) != nullptr;
      if (!exists || found->origin->capture != Stream::capturing || found->capture_number != found->origin->captures) {
        return CUDA_ERROR_CAPTURED_EVENT;
      }
      if (to->capture == Stream::none) {  // it joins the capture
        to->capture = Stream::capturing;
        to->capturing_thread = found->origin->capturing_thread;
        to->origin = found->origin;
      }
      add_all(found->after, to->after);
      return CUDA_SUCCESS;
    }
    std::vector<PointPtr> after;
    if (found->recorded != nullptr && !found->recorded->is_passed()) after.push_back(found->recorded->end);
    return submit_after(s, context, handle, std::move(after), [] { return CUDA_SUCCESS; }).result;
  });
}

/// Not of the engine's table: other libraries that compute on the emulated device use it.
extern "C" __attribute__((visibility("default"))) CUresult cuLaunchHostFunc(CUstream handle, void (*function)(void*),
                                                                            void* data) {
  return context_call("cuLaunchHostFunc", Capture::allowed, [&](State& s, Context& context) {
    if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return submit(s, context, handle, [function, data] {
      function(data);
      return CUDA_SUCCESS;
    });
  });
}

// ---- capture and graphs ------------------------------------------------------------------------------------------

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  return context_call("cuStreamBeginCapture", Capture::allowed, [&](State& s, Context& context) {
    if (handle == nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    Stream* const stream = s.streams.find(handle);
    if (stream == nullptr || stream->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture != Stream::none) return CUDA_ERROR_ILLEGAL_STATE;
    stream->capture = Stream::capturing;
    stream->captures++;
    stream->capturing_thread = std::this_thread::get_id();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
  return context_call("cuStreamEndCapture", Capture::allowed, [&](State& s, Context& context) {
    Stream* const stream = s.streams.find(handle);
    if (stream == nullptr || stream->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (stream->capture == Stream::none) return CUDA_ERROR_ILLEGAL_STATE;
    if (stream->capturing_thread != std::this_thread::get_id()) return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    if (stream->origin != nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    const bool valid = std::exchange(stream->capture, Stream::none) == Stream::capturing;
    std::vector<Node> captured = std::exchange(stream->captured, {});
    const std::vector<std::size_t> ends = std::exchange(stream->after, {});
    bool joined = true;
    while (Stream* const branch = s.streams.find_if([&](const Stream& other) { return other.origin == stream; })) {
      for (const std::size_t end : branch->after) joined &= leads_to(captured, end, ends);
      branch->capture = Stream::none;
      branch->origin = nullptr;
      branch->after.clear();
    }
    *graph = nullptr;
    if (!valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (!joined) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    *graph = s.graphs.add(&context, std::make_shared<const std::vector<Node>>(std::move(captured)));
    trace("capture", nullptr, 0);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long flags) {
  return context_call("cuGraphInstantiate", Capture::allowed, [&](State& s, Context& context) {
    if (executable == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const Graph* const found = s.graphs.find(graph);
    if (found == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    *executable = s.executables.add(&context, found->nodes);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream handle) {
  return context_call("cuGraphLaunch", Capture::allowed, [&](State& s, Context& context) {
    const Graph* const graph = s.executables.find(executable);
    if (graph == nullptr || graph->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (Stream* stream = s.streams.find(handle); stream != nullptr && stream->capture != Stream::none) {
      stream->capture_origin().capture = Stream::invalidated;
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    trace("replay", nullptr, 0);
    return submit(s, context, handle, [&context, nodes = graph->nodes] {
      run_nodes(context, *nodes);
      trace("replayed", nullptr, 0);
      return CUDA_SUCCESS;
    });
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return context_call("cuGraphDestroy", Capture::allowed, [&](State& s, Context&) {
    return s.graphs.remove(graph) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
  return context_call("cuGraphExecDestroy", Capture::allowed, [&](State& s, Context&) {
    return s.executables.remove(executable) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

// ---- events ------------------------------------------------------------------------------------------------------

CUresult cuEventCreate(CUevent* event, unsigned flags) {
  return context_call("cuEventCreate", Capture::allowed, [&](State& s, Context& context) {
    if (event == nullptr || flags > (CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING)) return CUDA_ERROR_INVALID_VALUE;
    *event = s.events.add(&context, (flags & CU_EVENT_DISABLE_TIMING) == 0, (flags & CU_EVENT_BLOCKING_SYNC) != 0);
    return CUDA_SUCCESS;
  });
}

CUresult cuEventDestroy_v2(CUevent event) {
  return context_call("cuEventDestroy", Capture::allowed, [&](State& s, Context&) {
    return s.events.remove(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  return context_call("cuEventRecord", Capture::allowed, [&](State& s, Context& context) {
    Event* const found = s.events.find(event);
    if (found == nullptr || found->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (Stream* const to = s.streams.find(stream); to != nullptr && to->capture_status() == Stream::capturing) {
      // Such an event orders the branches of one capture; a replay does not record it.
      found->captured = true;
      found->origin = &to->capture_origin();
      found->capture_number = found->origin->captures;
      found->after = to->after;
      return CUDA_SUCCESS;
    }
    const auto recorded = std::make_shared<Recorded>();
    const Submission submission = submit_after(s, context, stream, {}, [recorded, &context] {
      recorded->milliseconds = context.milliseconds;
      return CUDA_SUCCESS;
    });
    if (submission.result != CUDA_SUCCESS) return submission.result;
    recorded->end = submission.end;
    found->captured = false;
    found->recorded = recorded;
    return CUDA_SUCCESS;
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return context_call("cuEventSynchronize", Capture::allowed, [&](State& s, Context& context) {
    const Event* const found = s.events.find(event);
    if (found == nullptr || found->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (found->captured) {
      if (Stream* capturing = s.capture_of_this_thread()) capturing->capture = Stream::invalidated;
      return CUDA_ERROR_CAPTURED_EVENT;
    }
    trace(found->blocking ? "wait-block" : "wait-spin", nullptr, 0);
    if (found->recorded != nullptr) context.queues.run_until(found->recorded->end);
    check_guards(context, "cuEventSynchronize");
    return context.error;
  });
}

/// Not of the engine's table.
extern "C" __attribute__((visibility("default"))) CUresult cuEventQuery(CUevent event) {
  return context_call("cuEventQuery", Capture::allowed, [&](State& s, Context& context) {
    const Event* const found = s.events.find(event);
    if (found == nullptr || found->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    if (found->captured) return CUDA_ERROR_CAPTURED_EVENT;
    context.queues.run_some();
    if (found->recorded != nullptr && !found->recorded->is_passed()) return CUDA_ERROR_NOT_READY;
    return context.error;
  });
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return context_call("cuEventElapsedTime", Capture::allowed, [&](State& s, Context&) {
    const Event *const from = s.events.find(start), *const to = s.events.find(end);
    if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (from == nullptr || to == nullptr || !from->timed || !to->timed) return CUDA_ERROR_INVALID_HANDLE;
    if (from->captured || to->captured || !from->recorded || !to->recorded) return CUDA_ERROR_INVALID_HANDLE;
    if (!from->recorded->is_passed() || !to->recorded->is_passed()) return CUDA_ERROR_NOT_READY;
    *milliseconds = static_cast<float>(to->recorded->milliseconds - from->recorded->milliseconds);
    return CUDA_SUCCESS;
  });
}

}  // namespace flow::cuda

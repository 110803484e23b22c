#pragma once

#include <new>

#include "faults.h"
#include "state.h"

// The first steps of every driver function: calls that a test holds, injected faults, initialisation, the current
// context and its error, and calls that are forbidden while a graph is captured.

namespace emu {

enum class Capture {
  allowed,  // for work of a stream, `submit` decides
  unsafe,   // might synchronise: ends the capture of the calling thread
};

/// Runs body(State&): for functions that need a driver but no context.
template <class Body>
CUresult driver_call(const char* name, Body body) {
  wait_while_held(name);
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (const auto fault = injected_fault(name)) {
    Context* const context = s.contexts.find(current_context);
    if (context != nullptr && is_sticky(*fault)) context->error = *fault;
    return *fault;
  }
  if (!s.initialised) return CUDA_ERROR_NOT_INITIALIZED;
  return body(s);
}

/// Runs body(State&, Context&).
template <class Body>
CUresult context_call(const char* name, Capture capture, Body body) {
  return driver_call(name, [&](State& s) {
    Context* const context = s.contexts.find(current_context);
    if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    if (context->error != CUDA_SUCCESS) return context->error;
    if (Stream* stream = s.capture_of_this_thread(); stream != nullptr && capture == Capture::unsafe) {
      stream->capture = Stream::invalidated;
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    try {
      return body(s, *context);
    } catch (const std::bad_alloc&) {
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
  });
}

/// The queue of a stream: 0 or 1 is the legacy default stream, 2 that of the calling thread. Null if the context has no
/// such stream.
QueuePtr queue_of(const State& s, Context& context, CUstream stream);

struct Submission {
  CUresult result;
  PointPtr end = nullptr;  // of work that waits
};

/// Does the work, or queues it (queues.h), or records it if the stream is being captured. It runs after the points.
Submission submit_after(State& s, Context& context, CUstream stream, std::vector<PointPtr> after, Operation operation);
CUresult submit(State& s, Context& context, CUstream stream, Operation operation);

/// Call after work that may have written anywhere. A broken guard zone becomes the context's error.
void check_guards(Context& context, const std::string& what);

}  // namespace emu

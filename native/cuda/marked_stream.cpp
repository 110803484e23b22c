#include "cuda/marked_stream.h"

namespace flow::cuda {

namespace {

CUstream stream_of(std::uint64_t handle) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): handles cross to JavaScript as integers
  return reinterpret_cast<CUstream>(static_cast<std::uintptr_t>(handle));
}

[[noreturn]] void refuse(const std::string& reason) { throw Error(ErrorCode::argument, "stream: " + reason); }

bool is_no_stream(CUresult result) {
  return result == CUDA_ERROR_INVALID_HANDLE || result == CUDA_ERROR_INVALID_VALUE ||
         result == CUDA_ERROR_INVALID_CONTEXT || result == CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

/// A stream that nobody created is one of every context.
bool is_default_stream(std::uint64_t handle) { return handle <= CU_STREAM_PER_THREAD; }

void check_context(const Context& context, std::uint64_t handle) {
  CUcontext owner = nullptr;
  const CUresult result = driver().cuStreamGetCtx(stream_of(handle), &owner);
  if (is_no_stream(result)) refuse("is no handle of a stream: it was destroyed, or is not one of CUDA");
  check(result, "cuStreamGetCtx");
  if (owner != context.handle()) {
    refuse("is of another GPU, or of a CUDA context of its own: make it in the primary context of GPU " +
           std::to_string(context.device().index) + ", as CUDA's runtime does");
  }
}

/// An event that is recorded in a capture is not one that others can wait for.
void check_capture(std::uint64_t handle) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult result = driver().cuStreamIsCapturing(stream_of(handle), &status);
  if (result == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT || status != CU_STREAM_CAPTURE_STATUS_NONE) {
    refuse("is being captured into a graph: end the capture before the call");
  }
  check(result, "cuStreamIsCapturing");
}

}  // namespace

OtherStreamPtr MarkedStream::mark(const ContextPtr& context, EventPool& events, std::uint64_t handle) {
  const Context::Scope scope(*context);
  if (!is_default_stream(handle)) check_context(*context, handle);
  check_capture(handle);
  const auto event = events.take();
  check(driver().cuEventRecord(event->get(), stream_of(handle)), "cuEventRecord");
  return std::make_shared<const MarkedStream>(handle, event);
}

void MarkedStream::wait(const Event& event) const {
  // A thread's default stream cannot be named by another thread. A wait would end a capture that has begun meanwhile.
  // Either does no harm: the work is done anyway when the caller hears of it.
  if (handle_ == CU_STREAM_PER_THREAD) return;
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult result = driver().cuStreamIsCapturing(stream_of(handle_), &status);
  if (result != CUDA_SUCCESS || status != CU_STREAM_CAPTURE_STATUS_NONE) return;
  // The next call reports an error of the device.
  driver().cuStreamWaitEvent(stream_of(handle_), event.get(), 0);
}

}  // namespace flow::cuda

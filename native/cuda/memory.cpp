#include "cuda/memory.h"

#include <algorithm>

#include "cuda/tensor_pool.h"

namespace flow::cuda {

namespace {

std::string mebibytes(std::size_t bytes) {
  constexpr std::size_t mebibyte = std::size_t{1} << 20;
  return std::to_string((bytes + mebibyte - 1) / mebibyte) + " MiB";
}

[[noreturn]] void out_of_device_memory(const DeviceInfo& device, std::size_t bytes) {
  std::size_t free = 0, total = 0;
  const bool known = driver().cuMemGetInfo(&free, &total) == CUDA_SUCCESS;
  throw Error(ErrorCode::out_of_memory,
              "out of GPU memory: " + mebibytes(bytes) + " could not be allocated on GPU " +
                  std::to_string(device.index) + " (" + device.name + ")" +
                  (known ? ", where " + mebibytes(free) + " of " + mebibytes(total) + " are free" : "") +
                  "; use a smaller `size`, dispose of other models, or end other programs that use the GPU");
}

CUdeviceptr allocate_device(const Context& context, std::size_t bytes) {
  CUdeviceptr memory = 0;
  CUresult result = driver().cuMemAlloc(&memory, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY && TensorPool::drain(context)) result = driver().cuMemAlloc(&memory, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) out_of_device_memory(context.device(), bytes);
  check(result, "cuMemAlloc");
  return memory;
}

void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  const CUresult result = driver().cuMemHostAlloc(&memory, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    throw Error(ErrorCode::out_of_memory, "out of memory: " + mebibytes(bytes) +
                                              " of page-locked memory could not be allocated; use a smaller `size`, or "
                                              "dispose of other models");
  }
  check(result, "cuMemHostAlloc");
  return memory;
}

/// The driver refuses to allocate zero bytes.
std::size_t at_least_one(std::size_t bytes) { return std::max(bytes, std::size_t{1}); }

}  // namespace

DeviceMemory::DeviceMemory(std::size_t bytes, const Stream& stream) : size_(bytes) {
  const Context::Scope scope(*stream.context());
  memory_ = {stream.context(), allocate_device(*stream.context(), at_least_one(bytes))};
  check(driver().cuMemsetD8Async(memory_.get(), 0, at_least_one(bytes), stream.get()), "cuMemsetD8Async");
}

PinnedMemory::PinnedMemory(const ContextPtr& context, std::size_t bytes) : size_(bytes) {
  const Context::Scope scope(*context);
  memory_ = {context, allocate_pinned(at_least_one(bytes))};
}

CUdeviceptr PinnedMemory::device_pointer() const {
  const Context::Scope scope(*memory_.context());
  CUdeviceptr pointer = 0;
  check(driver().cuMemHostGetDevicePointer(&pointer, memory_.get(), 0), "cuMemHostGetDevicePointer");
  return pointer;
}

}  // namespace flow::cuda

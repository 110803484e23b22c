#pragma once

#include "cuda/stream.h"

// Asynchronous copies and fills in the order of a stream. If the host's memory is not pinned, the driver may wait. The
// context must be current.

namespace flow::cuda {

inline CUdeviceptr address(const void* device) { return reinterpret_cast<CUdeviceptr>(device); }

inline void copy_to_device(const void* host, std::size_t bytes, void* device, const Stream& stream) {
  check(driver().cuMemcpyHtoDAsync(address(device), host, bytes, stream.get()), "cuMemcpyHtoDAsync");
}

inline void copy_to_host(const void* device, std::size_t bytes, void* host, const Stream& stream) {
  check(driver().cuMemcpyDtoHAsync(host, address(device), bytes, stream.get()), "cuMemcpyDtoHAsync");
}

inline void copy_on_device(const void* from, std::size_t bytes, void* to, const Stream& stream) {
  check(driver().cuMemcpyDtoDAsync(address(to), address(from), bytes, stream.get()), "cuMemcpyDtoDAsync");
}

inline void zero_on_device(void* device, std::size_t bytes, const Stream& stream) {
  check(driver().cuMemsetD8Async(address(device), 0, bytes, stream.get()), "cuMemsetD8Async");
}

}  // namespace flow::cuda

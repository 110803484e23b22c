#pragma once

#include <string>
#include <type_traits>

#include "cuda/module.h"
#include "cuda/stream.h"

namespace flow::cuda {

struct Dim3 {
  int x = 1, y = 1, z = 1;
};

/// A launch waits for the kernel before it in its stream. If that follows an event, the launch cannot be programmatic.
enum class After { kernel, event };

/// Queues a kernel whose only parameter is `params`, passed by value. A programmatic kernel may begin before the kernel
/// before it is done, and waits for its results itself; after an event it begins when all before it is done. The
/// context must be current.
template <class Params>
void launch(const Stream& stream, const Kernel& kernel, Dim3 grid, Dim3 block, int shared_bytes, const Params& params,
            After after = After::kernel) {
  static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= 4096);  // the driver copies the bytes
  void* parameters[] = {const_cast<Params*>(&params)};
  const auto size = [](int n) { return static_cast<unsigned>(n); };
  CUresult result = CUDA_SUCCESS;
  if (kernel.programmatic && after == After::kernel) {
    CUlaunchAttribute programmatic{};
    programmatic.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    programmatic.value.programmaticStreamSerializationAllowed = 1;
    const CUlaunchConfig config{size(grid.x),  size(grid.y),       size(grid.z), size(block.x), size(block.y),
                                size(block.z), size(shared_bytes), stream.get(), &programmatic, 1};
    result = driver().cuLaunchKernelEx(&config, kernel.function, parameters, nullptr);
  } else {
    result =
        driver().cuLaunchKernel(kernel.function, size(grid.x), size(grid.y), size(grid.z), size(block.x), size(block.y),
                                size(block.z), size(shared_bytes), stream.get(), parameters, nullptr);
  }
  if (result != CUDA_SUCCESS) check(result, ("cuLaunchKernel of " + kernel.name).c_str());
}

}  // namespace flow::cuda

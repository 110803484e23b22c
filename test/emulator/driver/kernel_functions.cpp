#include <cstring>
#include <span>
#include <vector>

#include "../launch.h"
#include "call.h"
#include "device.h"
#include "exports.h"
#include "images.h"

// Modules, functions, launches. An image is only judged by its headers. Whatever it is, its module holds the kernels of
// this library that nvcc compiles for the image's compute capability. They take the paths of that capability, as on a
// GPU.

namespace flow::cuda {

using namespace emu;

namespace {

/// Whether a word of a kernel's parameters is an address in page-locked memory.
bool reaches_host(const Context& context, const Kernel& kernel, const void* parameters) {
  const auto* const bytes = static_cast<const unsigned char*>(parameters);
  for (std::size_t at = 0; at + sizeof(std::uintptr_t) <= kernel.parameter_bytes; at += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, bytes + at, sizeof word);
    if (context.memory.is_host(word)) return true;
  }
  return false;
}

/// By the device's clock.
double milliseconds_of(dim3 grid, dim3 block) {
  constexpr double of_thread = 1e-7;
  return of_thread * grid.x * grid.y * grid.z * block.x * block.y * block.z;
}

/// Runs a kernel. Its mistakes become the error of the context, as on a GPU, where the call has already returned when
/// they happen.
void run(Context& context, const Kernel& kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
         const void* parameters, bool ampere, Begin begins) {
  try {
    launch(kernel, grid, block, shared_bytes, parameters, ampere, begins);
    const bool is_slow = device::slow_host() && reaches_host(context, kernel, parameters);
    context.milliseconds += milliseconds_of(grid, block) * (is_slow ? 5 : 1);
    check_guards(context, kernel.name);
  } catch (const Error& e) {
    report(e.what());
    context.error = CUDA_ERROR_LAUNCH_FAILED;
  }
}

CUresult queue(State& s, Context& context, CUfunction function, dim3 grid, dim3 block, unsigned shared_bytes,
               CUstream stream, void** parameters, void** extra, Begin begin) {
  const Function* const f = s.functions.find(function);
  if (f == nullptr || f->context != &context) return CUDA_ERROR_INVALID_HANDLE;
  const Kernel& kernel = *f->kernel;
  if (parameters == nullptr || parameters[0] == nullptr || extra != nullptr) return CUDA_ERROR_INVALID_VALUE;
  try {
    check_configuration(kernel, grid, block, shared_bytes, f->shared_bytes);
  } catch (const ConfigurationError& e) {
    report(e.what());
    return CUDA_ERROR_INVALID_VALUE;
  }
  const auto* const first = static_cast<const unsigned char*>(parameters[0]);
  const bool ampere = f->capability >= 80;
  return submit(s, context, stream,
                [&context, &kernel, ampere, grid, block, shared_bytes, begin,
                 copy = std::vector<unsigned char>(first, first + kernel.parameter_bytes)] {
                  run(context, kernel, grid, block, shared_bytes, copy.data(), ampere, begin);
                  return CUDA_SUCCESS;
                });
}

}  // namespace

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return context_call("cuModuleLoadData", Capture::unsafe, [&](State& s, Context& context) {
    if (module == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Judgement judged = judge_image(image, device::driver_version(), device::capability());
    if (judged.result == CUDA_SUCCESS) *module = s.modules.add(&context, judged.capability);
    return judged.result;
  });
}

CUresult cuModuleUnload(CUmodule module) {
  return context_call("cuModuleUnload", Capture::unsafe, [&](State& s, Context&) {
    if (!s.modules.remove(module)) return CUDA_ERROR_INVALID_HANDLE;
    s.functions.remove_if([module](const Function& f) { return f.module == module; });
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return context_call("cuModuleGetFunction", Capture::allowed, [&](State& s, Context& context) {
    if (function == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Module* const found = s.modules.find(module);
    if (found == nullptr || found->context != &context) return CUDA_ERROR_INVALID_HANDLE;
    const Kernel* const kernel = find_kernel(name);
    if (kernel == nullptr || !image_holds(name, found->capability)) return CUDA_ERROR_NOT_FOUND;
    *function = s.functions.add(&context, module, kernel, found->capability);
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  return context_call("cuFuncGetAttribute", Capture::allowed, [&](State& s, Context&) {
    const Function* const f = s.functions.find(function);
    if (f == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
      case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: *value = 0; return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = 32; return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = static_cast<int>(f->shared_bytes);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  return context_call("cuFuncSetAttribute", Capture::allowed, [&](State& s, Context&) {
    Function* const f = s.functions.find(function);
    if (f == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
        static_cast<std::size_t>(value) > device::shared_bytes_per_block()) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    f->shared_bytes = static_cast<std::size_t>(value);
    return CUDA_SUCCESS;
  });
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void** parameters,
                        void** extra) {
  return context_call("cuLaunchKernel", Capture::allowed, [&](State& s, Context& context) {
    const dim3 grid{grid_x, grid_y, grid_z}, block{block_x, block_y, block_z};
    return queue(s, context, function, grid, block, shared_bytes, stream, parameters, extra, Begin::after_previous);
  });
}

/// Of the attributes it knows the engine's. Injected faults are those of cuLaunchKernel.
CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters, void** extra) {
  return context_call("cuLaunchKernel", Capture::allowed, [&](State& s, Context& context) {
    if (config == nullptr || (config->numAttrs != 0 && config->attrs == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    Begin begin = Begin::after_previous;
    for (const CUlaunchAttribute& attribute : std::span(config->attrs, config->numAttrs)) {
      if (attribute.id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) return CUDA_ERROR_INVALID_VALUE;
      if (attribute.value.programmaticStreamSerializationAllowed != 0) begin = Begin::before_previous_ends;
    }
    if (begin == Begin::before_previous_ends) {
      if (device::capability().major < 9) return CUDA_ERROR_NOT_SUPPORTED;
      const Stream* const stream = s.streams.find(config->hStream);
      if (stream != nullptr && stream->capture == Stream::capturing && device::driver_version() < 12030) {
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
      }
    }
    const dim3 grid{config->gridDimX, config->gridDimY, config->gridDimZ};
    const dim3 block{config->blockDimX, config->blockDimY, config->blockDimZ};
    return queue(s, context, function, grid, block, config->sharedMemBytes, config->hStream, parameters, extra, begin);
  });
}

}  // namespace flow::cuda

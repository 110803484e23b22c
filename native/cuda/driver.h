#pragma once

#include <string>

#include "cuda/driver_api.h"
#include "ops/error.h"

namespace flow::cuda {

/// The driver's functions. They are looked up at the first use, in libcuda.so.1 or in the library that the environment
/// variable DINOV3_FLOW_CUDA_DRIVER names. Nothing is linked, so the addon also loads without a driver.
struct Driver {
#define FLOW_CUDA_MEMBER(name, symbol, parameters) \
  CUresult(*name) parameters = nullptr;  // NOLINT(bugprone-macro-parentheses)
  FLOW_CUDA_FUNCTIONS(FLOW_CUDA_MEMBER)
  FLOW_CUDA_NEW_FUNCTIONS(FLOW_CUDA_MEMBER)  // null if the driver lacks it
#undef FLOW_CUDA_MEMBER

  int version = 0;  // the newest CUDA version that the driver supports: 13000 is CUDA 13.0
};

/// The process's driver, initialised. The library is never closed. If there is no driver, throws Error(device) with the
/// reason and the remedy. The outcome is remembered.
const Driver& driver();

/// "12.4" of 12040
std::string version_text(int version);

/// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)"
std::string error_name(const Driver& driver, CUresult result);

/// Throws Error(out_of_memory) or Error(device) unless `result` is success. `what` is the function's name and, where it
/// helps, its object: "cuModuleLoadData". The message also contains the place of the call.
void check(CUresult result, const char* what, const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace flow::cuda

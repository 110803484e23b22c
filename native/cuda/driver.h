#pragma once

#include <string>

#include "cuda/driver_api.h"
#include "ops/error.h"

namespace flow::cuda {

/// The driver's functions, found in libcuda.so.1 when they are first asked for, or in the library that the environment
/// variable DINOV3_FLOW_CUDA_DRIVER names. Nothing is linked, so that the addon loads where there is no driver.
struct Driver {
#define FLOW_CUDA_MEMBER(name, symbol, parameters) \
  CUresult(*name) parameters = nullptr;  // NOLINT(bugprone-macro-parentheses)
  FLOW_CUDA_FUNCTIONS(FLOW_CUDA_MEMBER)
#undef FLOW_CUDA_MEMBER

  int version = 0;  // 13000 is CUDA 13.0: the newest that the driver supports
};

/// The process's driver, initialised; the library is never closed. Throws Error(device) that says why there is none and
/// what to do; the answer is remembered.
const Driver& driver();

/// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)"
std::string error_name(const Driver& driver, CUresult result);

/// Throws Error(out_of_memory) or Error(device) unless `result` is success. `what` is the function's name and, where it
/// helps, its object: "cuModuleLoadData". The message has the place of the call, too.
void check(CUresult result, const char* what, const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace flow::cuda

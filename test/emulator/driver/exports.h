#pragma once

#include "cuda/driver_api.h"

// The driver's functions under the names that a real libcuda.so exports, with the signatures of the engine's table. A
// definition that differs does not compile. A missing definition does not link.

namespace flow::cuda {

#define FLOW_CUDA_EXPORT(name, symbol, parameters) \
  extern "C" __attribute__((visibility("default"))) CUresult symbol parameters;
FLOW_CUDA_FUNCTIONS(FLOW_CUDA_EXPORT)
FLOW_CUDA_NEW_FUNCTIONS(FLOW_CUDA_EXPORT)
#undef FLOW_CUDA_EXPORT

}  // namespace flow::cuda

#pragma once

#include "cuda/driver_api.h"

// The driver's functions under the names that a real libcuda.so exports, with the signatures of the table that calls
// them: a definition that differs does not compile, and one that is missing does not link.

namespace flow::cuda {

#define FLOW_CUDA_EXPORT(name, symbol, parameters) \
  extern "C" __attribute__((visibility("default"))) CUresult symbol parameters;
FLOW_CUDA_FUNCTIONS(FLOW_CUDA_EXPORT)
#undef FLOW_CUDA_EXPORT

}  // namespace flow::cuda

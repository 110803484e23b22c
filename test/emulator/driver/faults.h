#pragma once

#include <optional>
#include <string_view>

#include "cuda/driver_api.h"

namespace emu {

/// The error that the environment wants of this call. EMULATOR_FAIL is a list "function:n[:code],...": the n-th call of
/// that function (its name in the table, "cuMemAlloc") fails, without doing anything. The code is a CUresult; without
/// it allocations are out of memory, launches CUDA_ERROR_LAUNCH_FAILED, other calls CUDA_ERROR_UNKNOWN. A trailing `+`
/// on n means that call and all later ones. Calls, of all threads, are counted from the first one that finds the
/// variable with its present value. To be called under a lock.
std::optional<flow::cuda::CUresult> injected_fault(std::string_view function);

/// Errors after which a context is of no use any more.
bool is_sticky(flow::cuda::CUresult error);

}  // namespace emu

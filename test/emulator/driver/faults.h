#pragma once

#include <optional>
#include <string_view>

#include "cuda/driver_api.h"

namespace emu {

/// The error that the environment injects into this call. EMULATOR_FAIL is a list "function:n[:code],...": the n-th
/// call of that function (its name in the table, "cuMemAlloc") fails and does nothing. The code is a CUresult. Without
/// a code, allocations fail with out of memory, launches with CUDA_ERROR_LAUNCH_FAILED, other calls with
/// CUDA_ERROR_UNKNOWN. A trailing `+` on n means that call and all later ones. The calls of all threads are counted,
/// from the first one that finds the variable with its present value. Call this under a lock.
std::optional<flow::cuda::CUresult> injected_fault(std::string_view function);

/// Waits before a call of that function does anything, for tests that decide who comes first: as long as the folder
/// that EMULATOR_HOLD names has a file with the function's name. Call this without a lock, so that other calls go on.
void wait_while_held(std::string_view function);

/// Errors after which a context is unusable.
bool is_sticky(flow::cuda::CUresult error);

}  // namespace emu

#pragma once

#include "cuda/device.h"
#include "kernels/gemm.h"

// How the work of a kernel is cut into blocks, by a model of what that costs. No driver is needed.

namespace flow::cuda {

/// Blocks of `b` that cover `a`.
constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

/// Time of a product (m x k by k x n) in blocks of `tile`, in units of its own; to be compared.
double gemm_time(kernels::GemmTile tile, int m, int n, int k, int element_bytes, const DeviceInfo& device);

/// The fastest of kernels::gemm_tiles that fits the device. Throws Error(device) if none does.
kernels::GemmTile choose_gemm_tile(int m, int n, int k, int element_bytes, const DeviceInfo& device);

/// Keys per split of an attention, a multiple of kernels::attention_keys; ceil(tokens / it) is the number of splits.
int choose_attention_splits(int tokens, int heads, const DeviceInfo& device);

}  // namespace flow::cuda

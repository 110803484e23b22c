#pragma once

#include "cuda/device.h"
#include "kernels/gemm.h"

// The division of a kernel into blocks, chosen by a cost model. No driver is needed.

namespace flow::cuda {

/// The number of blocks of size `b` that cover `a`.
constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

/// Time of a product (m x k by k x n) in blocks of `tile`. The unit is arbitrary: for comparison only.
double gemm_time(kernels::GemmTile tile, int m, int n, int k, int element_bytes, const DeviceInfo& device);

/// The fastest of kernels::gemm_tiles that fits the device. Throws Error(device) if none does.
kernels::GemmTile choose_gemm_tile(int m, int n, int k, int element_bytes, const DeviceInfo& device);

/// Keys per split of an attention, a multiple of kernels::attention_keys. The number of splits is ceil(tokens / keys).
int choose_attention_splits(int tokens, int heads, const DeviceInfo& device);

}  // namespace flow::cuda

#pragma once

#include <string_view>

#include "cuda/device.h"
#include "kernels/attention.h"
#include "kernels/gemm.h"

// The division of a kernel into blocks, chosen by a cost model. No driver is needed.

namespace flow::cuda {

/// The number of blocks of size `b` that cover `a`.
constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

/// The largest divisor of `n` of at most half of it; 1 for 1.
constexpr int middle_divisor(int n) {
  int divisor = std::max(1, n / 2);
  while (n % divisor != 0) divisor--;
  return divisor;
}

/// Cycles of the product of `op` (m x k by k x n) in blocks of `tile`: of the multiprocessors' arithmetic and shared
/// memory, or of L2, whichever takes longer. An estimate for comparison.
double gemm_time(std::string_view op, kernels::GemmTile tile, int m, int n, int k, int element_bytes,
                 const DeviceInfo& device);

/// The fastest of kernels::gemm_tiles_of that fits the device; of equal ones the first. `capability` is that of the
/// kernels. Throws Error(device) if none fits.
kernels::GemmTile choose_gemm_tile(std::string_view op, int capability, int m, int n, int k, int element_bytes,
                                   const DeviceInfo& device);

/// Columns of blocks that run before the next ones, a divisor of their number: the one with the least traffic between
/// L2 and memory, by an estimate. All of them if a row of blocks brings in little beside L2's size.
int choose_gemm_panel(kernels::GemmTile tile, int m, int n, int k, int element_bytes, const DeviceInfo& device);

/// An attention of one image. head_dim is padded.
struct AttentionWork {
  int tokens, heads, head_dim, element_bytes;
};

/// Cycles of an attention in blocks of `block`: of the multiprocessors' arithmetic or of L2, whichever takes longer. An
/// estimate for comparison.
double attention_time(kernels::AttentionBlock block, int keys_per_split, AttentionWork work, const DeviceInfo& device);

/// Keys per split, a multiple of kernels::attention_keys. The number of splits is ceil(tokens / keys).
int choose_attention_splits(kernels::AttentionBlock block, AttentionWork work, const DeviceInfo& device);

/// The fastest of kernels::attention_blocks_of.
kernels::AttentionBlock choose_attention_block(AttentionWork work, const DeviceInfo& device);

}  // namespace flow::cuda

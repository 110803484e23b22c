// Squeeze-and-excitation (Hu et al., 2018): scale = sigmoid(fc2 silu(fc1 mean + bias1) + bias2), mean = sums / count.
//
// 2 * channels * reduced multiply-adds on as many weights of 4 bytes, which one SM reads from L2. The time is the
// latency of two dependent matrix-vector products, so the block is as large as possible. Sums are added in a fixed
// order.

#include "squeeze_excite.h"

#include "number.cuh"

namespace flow::kernels {

/// The dot product of two vectors, by `lanes` neighbouring lanes of a full warp. Each of these lanes gets the result.
template <int lanes>
DEVICE float dot(const float* weight, const float* x, int count) {
  float sum = 0;
#pragma unroll 4
  for (int i = lane_id() % lanes; i < count; i += lanes) sum += weight[i] * x[i];
  for (int step = lanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffff, sum, step);
  return sum;
}

KERNEL(squeeze_excite, SqueezeExciteParams, squeeze_excite_threads, 1) {
  constexpr int lanes = 8;  // per dot product of fc2, whose rows are short
  SHARED_MEMORY(float, mean);
  float* hidden = mean + p.channels;
  const int thread = static_cast<int>(threadIdx.x);

  for (int c = thread; c < p.channels; c += squeeze_excite_threads) mean[c] = p.sums[c] * p.inverse_count;
  __syncthreads();

  for (int r = warp_id(); r < p.reduced; r += squeeze_excite_threads / warp_size) {
    const float y = dot<warp_size>(p.fc1 + r * p.channels, mean, p.channels) + p.bias1[r];
    if (lane_id() == 0) hidden[r] = silu(y);
  }
  __syncthreads();

  for (int first = 0; first < p.channels; first += squeeze_excite_threads / lanes) {
    const int c = first + thread / lanes;
    const int row = min(c, p.channels - 1);  // lanes without a channel still take part in the shuffles
    const float y = dot<lanes>(p.fc2 + row * p.reduced, hidden, p.reduced) + p.bias2[row];
    if (c < p.channels && thread % lanes == 0) p.scale[c] = sigmoid(y);
  }
}

}  // namespace flow::kernels

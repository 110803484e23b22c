#pragma once

// Several sums over the lanes of a warp at once.

#include "kernel.cuh"

namespace flow::kernels {

/// A lane gives one half of its first 2 * held values away and adds the other half of its partner; then half of those.
/// A loop would not be unrolled where there are many, and its array not be in registers.
template <int held, int lanes, class T, int N>
DEVICE void add_halves(T (&sums)[N]) {
  if constexpr (held > 0) {
    const bool upper = (lane_id() & lanes) != 0;
#pragma unroll
    for (int i = 0; i < held; i++) {
      const T kept = upper ? sums[held + i] : sums[i], given = upper ? sums[i] : sums[held + i];
      sums[i] = kept + __shfl_xor_sync(0xffffffffU, given, lanes);
    }
    add_halves<held / 2, lanes / 2>(sums);
  }
}

/// Adds up each of sums[i] over all lanes of the warp. Returns the sum of index lane / (32 / N). N is a power of two up
/// to 32. N = 8 takes 9 shuffles, where eight sums of their own would take 40.
template <class T, int N>
DEVICE T warp_sum_of_lane(T (&sums)[N]) {
  add_halves<N / 2, warp_size / 2>(sums);
  T sum = sums[0];
#pragma unroll
  for (int lanes = warp_size / N / 2; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, lanes);
  return sum;
}

/// sums[i] becomes the sum of sums[i] over all lanes, in every lane: N shuffles more.
template <class T, int N>
DEVICE void warp_sums(T (&sums)[N]) {
  const T sum = warp_sum_of_lane(sums);
#pragma unroll
  for (int i = 0; i < N; i++) sums[i] = __shfl_sync(0xffffffffU, sum, i * (warp_size / N));
}

}  // namespace flow::kernels

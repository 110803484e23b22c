// Gives each patch the label of the known patch whose features are most like its own, by the cosine.
//
// A warp computes a patch: its lanes read 32 neighbouring channels at a time, and add up by shuffles. The grid is
// ceil(patches / 8) blocks of 256 threads, whose 8 warps read the known patches in the same order. For n patches of
// either picture that is 2 n^2 dim multiply-adds, 2 G for 40 x 40 patches of 384 channels. It is written to be read: a
// product of matrices on tensor cores would be many times as fast.

#include "nearest.h"

extern "C" __global__ void __launch_bounds__(256) nearest(const __grid_constant__ nearest_parameters p) {
  const int patch = static_cast<int>(blockIdx.x * 8 + threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (patch >= p.patches) return;  // the whole warp
  const float* const own = p.features + static_cast<int64_t>(patch) * p.step;
  float best = -3.402823466e38F;
  int nearest_patch = 0;
  for (int i = 0; i < p.known_patches; i++) {
    const float* const known = p.known + static_cast<int64_t>(i) * p.step;
    float dot = 0, square = 0;
#pragma unroll 1  // the PTX is short
    for (int c = lane; c < p.dim; c += 32) {
      dot += own[c] * known[c];
      square += known[c] * known[c];
    }
#pragma unroll 1
    for (int distance = 16; distance > 0; distance /= 2) {
      dot += __shfl_xor_sync(0xffffffffU, dot, distance);
      square += __shfl_xor_sync(0xffffffffU, square, distance);
    }
    const float similarity = dot / sqrtf(square);  // the own length is the same for all
    if (similarity > best) {
      best = similarity;
      nearest_patch = i;
    }
  }
  if (lane == 0) p.labels[patch] = p.known_labels[nearest_patch];
}

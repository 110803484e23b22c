// The choice between the candidates of each patch: the one with the least r + support * mean(r), r its relative cost
// and mean(r) that of the same candidate of the patches around. The mean is separable: spread_costs takes it along
// rows, in place of r, and vote_patches along columns.
//
// Radius 10 is 21 reads for each of the two sums and each candidate, shared by neighbours. 43 x 102 patches with three
// candidates are 210 kB: they stay in L2, and latency limits both kernels. The order of a sum is that of the CPU
// engine, because running sums would round otherwise and choose otherwise.

#include "vote_patches.h"

#include "patches.cuh"

namespace flow::kernels {

/// Cost relative to the patch's own contrast.
DEVICE float relative_cost(float cost, const PatchTemplate& patch) {
  return fminf(cost / (patch.tt + patch_samples), 1.F);
}

KERNEL(spread_costs, VotePatchesParams, vote_threads, 1) {
  const int index = static_cast<int>(blockIdx.x) * vote_threads + static_cast<int>(threadIdx.x);
  const int patches = p.down * p.across;
  if (index >= p.count * patches) return;
  const int x = index % p.across, first = max(x - p.window, 0), last = min(x + p.window, p.across - 1);
  const PatchState* row = p.found + index - x;
  const PatchTemplate* templates = p.templates + index % patches - x;
  float sum = 0;
  for (int i = first; i <= last; i++) sum += relative_cost(row[i].cost, templates[i]);
  p.found[index].relative = sum / static_cast<float>(last - first + 1);
}

KERNEL(vote_patches, VotePatchesParams, vote_threads, 1) {
  const int index = static_cast<int>(blockIdx.x) * vote_threads + static_cast<int>(threadIdx.x);
  const int patches = p.down * p.across;
  if (index >= patches) return;
  const int y = index / p.across, first = max(y - p.window, 0), last = min(y + p.window, p.down - 1);
  constexpr float margin = 1e-3F;  // by which a later one is better
  float least = 0;
  const PatchState* best = nullptr;
  for (int k = 0; k < p.count; k++) {
    const PatchState* own = p.found + k * patches + index;
    float sum = 0;
    for (int i = first; i <= last; i++) sum += own[(i - y) * p.across].relative;
    const float cost =
        relative_cost(own->cost, p.templates[index]) + p.support * sum / static_cast<float>(last - first + 1);
    if (best == nullptr || cost < least - margin) least = cost, best = own;
  }
  p.patches[index] = {best->u, best->v, best->cost, relative_cost(best->cost, p.templates[index])};
}

}  // namespace flow::kernels

// Patches of the first frame look for themselves in the second by descent: search_patches from each of several
// hypotheses, propagate_patches from the motions of their neighbours where those fit better. The formulas are in
// RefineStages (native/ops/refine_stages.h).
//
// A cost takes the 8 x 8 pixels of three channels under the moved patch, bilinear: 192 samples of some 20 FLOPs. A
// search takes up to seven costs, a propagation up to four and those of its descent. The template's pixels and
// derivatives stay in registers. The pixels of the second frame come from L1 and L2, as patches overlap. 43 x 102
// patches with 3 hypotheses are 13000 warps and some 50000 costs, 200 MFLOP. Loads (18 a lane and cost) and shuffles
// (16) limit it, and where a level is small the latency of a descent, whose steps depend on each other.

#include "search_patches.h"

#include "patch_search.cuh"

namespace flow::kernels {

/// Pixels of a hypothesis per pixel of a level: exactly a half for the level above, however its size was rounded.
DEVICE float hypothesis_scale(int hypothesis, int level) {
  return hypothesis == level / 2 ? 0.5F : static_cast<float>(hypothesis) / static_cast<float>(level);
}

/// A plane of a flow at a position in its pixels, bilinear, edges held.
DEVICE float sample_flow(const PatchHypothesis& flow, int plane, float x, float y) {
  x = fminf(fmaxf(x, 0.F), static_cast<float>(flow.width - 1));
  y = fminf(fmaxf(y, 0.F), static_cast<float>(flow.height - 1));
  const int left = static_cast<int>(x), top = static_cast<int>(y);
  const int right = min(left + 1, flow.width - 1), bottom = min(top + 1, flow.height - 1);
  const float part_x = x - static_cast<float>(left), part_y = y - static_cast<float>(top);
  const float* upper = flow.flow + static_cast<std::ptrdiff_t>(plane * flow.height + top) * flow.ld;
  const float* lower = flow.flow + static_cast<std::ptrdiff_t>(plane * flow.height + bottom) * flow.ld;
  const auto motion = [&](const float* row, int at) { return sane_motion(row[at], flow.height, flow.width); };
  const float above = motion(upper, left) * (1 - part_x) + motion(upper, right) * part_x;
  const float below = motion(lower, left) * (1 - part_x) + motion(lower, right) * part_x;
  return above * (1 - part_y) + below * part_y;
}

KERNEL(search_patches, SearchPatchesParams, patch_threads, 1) {
  const PatchLayout& layout = p.search.layout;
  const int patches = layout.down * layout.across;
  const int index = static_cast<int>(blockIdx.x) * patch_warps + warp_id(), candidate = static_cast<int>(blockIdx.y);
  if (index >= patches) return;

  PatchSearch search(p.search, index);
  float u = 0, v = 0;
  if (candidate >= p.zeros) {
    const PatchHypothesis& flow = p.hypotheses[candidate - p.zeros];
    const float scale_x = hypothesis_scale(flow.width, p.search.from.width);
    const float scale_y = hypothesis_scale(flow.height, p.search.from.height);
    const float x = search.centre_x() * scale_x - 0.5F, y = search.centre_y() * scale_y - 0.5F;
    u = sample_flow(flow, 0, x, y) / scale_x;
    v = sample_flow(flow, 1, x, y) / scale_y;
  }
  search.start(u, v);
  search.descend();
  if (lane_id() == 0) p.found[static_cast<std::ptrdiff_t>(candidate) * patches + index] = search.state();
}

KERNEL(propagate_patches, PropagatePatchesParams, patch_threads, 1) {
  const int across = p.search.layout.across, patches = p.search.layout.down * across;
  const int index = static_cast<int>(blockIdx.x) * patch_warps + warp_id();
  if (index >= patches) return;

  PatchSearch search(p.search, index);
  const PatchState own = p.patches[index];
  const int row = index - index % across;  // its first patch
  search.resume(own);
  bool adopted = false;
#pragma unroll 1
  for (int i = 0; i < 4; i++) {
    const int neighbour = index + (i % 2 == 0 ? -1 : 1) * (i < 2 ? 1 : across);
    const bool there = i < 2 ? neighbour >= row && neighbour < row + across : neighbour >= 0 && neighbour < patches;
    if (there && search.offer(p.patches[neighbour])) adopted = true;
  }
  if (adopted) search.descend();
  if (lane_id() == 0) p.out[index] = adopted ? search.state() : own;
}

}  // namespace flow::kernels

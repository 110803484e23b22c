#pragma once

#include "patches.h"

// Parameters of search_patches.cu. One warp per patch; the grid of search_patches is
// (ceil(down * across / patch_warps), candidates), that of propagate_patches (ceil(down * across / patch_warps)).

namespace flow::kernels {

constexpr int most_hypotheses = 8;

/// The options of both kernels; see SearchOptions.
struct PatchSearchParams {
  ImageView from, to;
  PatchLayout layout;
  const PatchTemplate* templates;  // down * across
  int iterations;
  float texture, reach, stop, unlike, better;
};

/// A flow: 2 planes of height x width, rows ld apart, in pixels of its own.
struct PatchHypothesis {
  const float* flow;
  int height, width, ld;
};

struct SearchPatchesParams {
  PatchSearchParams search;
  PatchHypothesis hypotheses[most_hypotheses];
  int zeros;          // 1: the first candidate is no motion, the hypotheses follow; 0: there are only hypotheses
  PatchState* found;  // candidates * down * across
};

struct PropagatePatchesParams {
  PatchSearchParams search;
  const PatchState* patches;  // down * across
  PatchState* out;            // down * across
};

}  // namespace flow::kernels

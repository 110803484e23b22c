#pragma once

#include "patches.h"

// Parameters of vote_patches.cu. spread_costs takes a thread per candidate, its grid is
// ceil(count * down * across / vote_threads); vote_patches takes a thread per patch, its grid is
// ceil(down * across / vote_threads).

namespace flow::kernels {

constexpr int vote_threads = 128;

struct VotePatchesParams {
  int down, across;
  int count;  // candidates of each patch
  int window;
  float support;
  const PatchTemplate* templates;  // down * across
  PatchState* found;               // count * down * across; spread_costs overwrites `relative`
  PatchState* patches;             // down * across
};

}  // namespace flow::kernels

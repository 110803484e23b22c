#pragma once

#include "patches.h"

// Parameters of densify_patches.cu. A block has 32 x 8 threads, one pixel each; the grid is (ceil(width / 32),
// ceil(height / 8)).

namespace flow::kernels {

struct DensifyPatchesParams {
  ImageView from, to;
  PatchLayout layout;
  const PatchTemplate* templates;  // down * across
  const PatchState* patches;       // down * across
  const float* exposure;           // gain of channel c at c, offset at 4 + c
  float* flow;                     // 2 planes of height x width, rows ld_flow apart
  float* sure;                     // height x width, rows ld_sure apart; null: not wanted
  int ld_flow, ld_sure;
};

}  // namespace flow::kernels

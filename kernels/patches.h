#pragma once

#include "image.h"

// Patches, templates and motions, as all kernels of the refinement's patches take them.

namespace flow::kernels {

constexpr int patch_side = 8;
constexpr int patch_channels = 3;

constexpr int patch_warps = 4;  // per block, where a patch is a warp's
constexpr int patch_threads = 32 * patch_warps;

/// The patches of an image: row by row, `stride` pixels apart; the last of a row or column touches the image's edge.
struct PatchLayout {
  int stride, down, across;
};

/// Of a patch of the first frame; see RefineStages::patch_templates.
struct alignas(16) PatchTemplate {
  float mean[3], mean_x[3], mean_y[3];  // of R, G, B: the pixels, their x and y derivative
  float tt, tx, ty;
  float xx, xy, yy;  // of the inverse of the regularised Hessian
  float texture;
};

/// Motion of a patch, cost there, cost relative to the patch's contrast.
struct alignas(16) PatchState {
  float u, v, cost, relative;
};

}  // namespace flow::kernels

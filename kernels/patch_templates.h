#pragma once

#include "patches.h"

// Parameters of patch_templates.cu. One warp per patch; the grid is ceil(down * across / patch_warps).

namespace flow::kernels {

struct PatchTemplatesParams {
  ImageView image;
  PatchLayout layout;
  PatchTemplate* templates;  // down * across
};

}  // namespace flow::kernels

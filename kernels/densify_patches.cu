// A flow of every pixel: the mean of the motions of the patches over it, weighted by how well the pixel itself is found
// there: (0.5 / max(r, 0.5))^2, r the mean over R, G, B of its difference after the exposure's line. `sure` is the same
// mean of 0.25 / (0.25 + r^2).
//
// A pixel gathers from the 4 patches over it (up to 9 at the edges), in their order, so the result is always the same.
// Each is 12 reads from L1, whose lines neighbours share, and some 40 FLOPs. Half of 1024 x 436 is 1.4 MB of each frame
// and 1.3 MB out: L1's loads limit it.

#include "densify_patches.h"

#include "patches.cuh"

namespace flow::kernels {

/// The first patch along a side that reaches pixel `at`, if patches are `stride` apart.
DEVICE int first_patch(int at, int stride) { return at < patch_side ? 0 : (at - patch_side) / stride + 1; }

KERNEL(densify_patches, DensifyPatchesParams, 256, 1) {
  const PatchLayout& layout = p.layout;
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.from.width || y >= p.from.height) return;

  float expected[patch_channels];  // in the second frame
#pragma unroll
  for (int c = 0; c < patch_channels; c++) {
    expected[c] = p.exposure[4 + c] + p.exposure[c] * *pixel_of(p.from, c, y, x);
  }
  float weights = 0, u = 0, v = 0, sure = 0;
  for (int j = first_patch(y, layout.stride); j < layout.down; j++) {
    const int top = patch_start(j, layout.stride, p.from.height);
    if (top > y) break;
    for (int i = first_patch(x, layout.stride); i < layout.across; i++) {
      const int left = patch_start(i, layout.stride, p.from.width), index = j * layout.across + i;
      if (left > x) break;
      const PatchState patch = p.patches[index];
      const ImagePosition at =
          position_in(p.to, static_cast<float>(top) + patch.v, static_cast<float>(left) + patch.u, patch_side);
      float sum = 0;
#pragma unroll
      for (int c = 0; c < patch_channels; c++) {
        const float* pixel = pixel_of(p.to, c, at.y + y - top, at.x + x - left);
        const float upper = pixel_across(pixel, at.part_x), lower = pixel_across(pixel + p.to.stride, at.part_x);
        sum += fabsf(upper + at.part_y * (lower - upper) - expected[c]);
      }
      const float residual = sum * (1 / 3.F), part = 0.5F / fmaxf(residual, 0.5F), weight = part * part;
      weights += weight, u += weight * patch.u, v += weight * patch.v;
      sure += weight * (0.25F / (0.25F + residual * residual));
    }
  }
  const float inverse = 1 / weights;
  float* flow = p.flow + static_cast<std::ptrdiff_t>(y) * p.ld_flow + x;
  flow[0] = u * inverse, flow[static_cast<std::ptrdiff_t>(p.from.height) * p.ld_flow] = v * inverse;
  if (p.sure != nullptr) p.sure[static_cast<std::ptrdiff_t>(y) * p.ld_sure + x] = sure * inverse;
}

}  // namespace flow::kernels

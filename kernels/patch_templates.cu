// What a search needs of each patch of the first frame, all sums over its 8 x 8 pixels of three channels: means, the
// contrast, and the Hessian of a descent with its inverse. Derivatives are central differences.
//
// A patch is 192 samples of some 25 FLOPs, and 64 bytes of result. Patches 4 px apart share most of their pixels, which
// come from L1. 43 x 102 patches, those of half of 1024 x 436 at every 5th pixel, are 1.4 MB in and 0.3 MB out.

#include "patch_templates.h"

#include "patches.cuh"

namespace flow::kernels {

KERNEL(patch_templates, PatchTemplatesParams, patch_threads, 1) {
  const PatchLayout& layout = p.layout;
  const int index = static_cast<int>(blockIdx.x) * patch_warps + warp_id();
  if (index >= layout.down * layout.across) return;
  const int x = patch_start(index % layout.across, layout.stride, p.image.width) + patch_column();
  const int y = patch_start(index / layout.across, layout.stride, p.image.height) + patch_row();

  float means[4] = {};
  float values[patch_channels][2];
#pragma unroll
  for (int c = 0; c < patch_channels; c++) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      values[c][i] = *pixel_of(p.image, c, y + i, x);
      means[c] += values[c][i];
    }
  }
  warp_sums(means);

  enum { sum_x, sum_y = sum_x + patch_channels, xx = sum_y + patch_channels, xy, yy, tt, tx, ty };
  float sums[16] = {};
#pragma unroll
  for (int c = 0; c < patch_channels; c++) {
    means[c] /= patch_pixels;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const float* pixel = pixel_of(p.image, c, y + i, x);
      const float value = values[c][i] - means[c];  // squares of raw values would cancel
      const float gx = 0.5F * (pixel[1] - pixel[-1]), gy = 0.5F * (pixel[p.image.stride] - pixel[-p.image.stride]);
      sums[sum_x + c] += gx, sums[sum_y + c] += gy;
      sums[xx] += gx * gx, sums[xy] += gx * gy, sums[yy] += gy * gy;
      sums[tt] += value * value, sums[tx] += value * gx, sums[ty] += value * gy;
    }
  }
  warp_sums(sums);
  if (lane_id() != 0) return;

  PatchTemplate t;
  float a = sums[xx], b = sums[xy], d = sums[yy];  // of the Hessian
  for (int c = 0; c < patch_channels; c++) {
    t.mean[c] = means[c];
    t.mean_x[c] = sums[sum_x + c] / patch_pixels, t.mean_y[c] = sums[sum_y + c] / patch_pixels;
    a -= sums[sum_x + c] * t.mean_x[c], b -= sums[sum_x + c] * t.mean_y[c], d -= sums[sum_y + c] * t.mean_y[c];
  }
  t.tt = sums[tt], t.tx = sums[tx], t.ty = sums[ty];
  t.texture = (0.5F * (a + d) - sqrtf(0.25F * (a - d) * (a - d) + b * b)) / patch_samples;
  a += 1.3F * patch_samples, d += 1.3F * patch_samples;  // regularised
  const float inverse = 1 / (a * d - b * b);
  t.xx = d * inverse, t.xy = -b * inverse, t.yy = a * inverse;
  p.templates[index] = t;
}

}  // namespace flow::kernels

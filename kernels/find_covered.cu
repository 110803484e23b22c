// Cuts the confidence of pixels that the other frame does not show. Several pixels may move to one place, and then only
// the surest is seen there. find_covered_claim finds for each place the largest confidence that moves to it,
// find_covered_cut compares each pixel's own with that. `best` holds the bits of floats: those of floats that are not
// negative are in the order of the numbers, so an integer maximum does, and the order of arrival does not matter.
//
// Each kernel reads the flow, 8 bytes a pixel, and accesses `sure` and `best`, near the pixel as far as motion is
// smooth. Memory limits them: 960 x 540 is 4.1 MB of flow, twice, and half a million atomics, which L2 computes.

#include "find_covered.h"

#include "image.h"
#include "kernel.cuh"

namespace flow::kernels {

/// Where pixel (y, x) moves to in `best`; null outside the frame, or for a motion that is NaN.
DEVICE int* covered_place(const FindCoveredParams& p, int y, int x) {
  const float* flow = p.flow + static_cast<std::ptrdiff_t>(y) * p.ld_flow + x;
  const float to_x = floorf(static_cast<float>(x) + flow[0] + nearest_pixel);
  const float v = flow[static_cast<std::ptrdiff_t>(p.height) * p.ld_flow];
  const float to_y = floorf(static_cast<float>(y) + v + nearest_pixel);
  const bool inside =
      to_x >= 0 && to_y >= 0 && to_x < static_cast<float>(p.width) && to_y < static_cast<float>(p.height);
  return inside ? p.best + static_cast<std::ptrdiff_t>(to_y) * p.ld_best + static_cast<int>(to_x) : nullptr;
}

KERNEL(find_covered_claim, FindCoveredParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.width || y >= p.height) return;
  int* place = covered_place(p, y, x);
  if (place != nullptr) atomicMax(place, __float_as_int(p.sure[static_cast<std::ptrdiff_t>(y) * p.ld_sure + x]));
}

KERNEL(find_covered_cut, FindCoveredParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.width || y >= p.height) return;
  float* sure = p.sure + static_cast<std::ptrdiff_t>(y) * p.ld_sure + x;
  const int* place = covered_place(p, y, x);
  if (place == nullptr) {
    *sure *= 0.2F;
  } else if (const float surest = __int_as_float(*place); surest > 0) {
    *sure *= fminf(fmaxf(10 * (*sure / surest) - 9, 0.05F), 1.F);
  }
}

}  // namespace flow::kernels

// Forward-backward check. A pixel p goes to q = p + forward(p), and d = forward(p) + backward(q) is the distance by
// which it misses p on its way back. backward(q) is bilinear.
//
//   limit = 0.01 (|forward(p)|^2 + |backward(q)|^2) + 0.5      (Sundaram, Brox & Keutzer, ECCV 2010, equation 5)
//   confidence = limit / (limit + |d|^2), occlusion = |d|^2 > limit
//
// A pixel whose q lies outside of the map, or is not finite, has confidence 0 and is occluded.
//
// Each pixel takes 2 reads of the forward flow, 8 of the backward flow, shared by neighbours, and 1 or 2 writes: memory
// limits it. 1920 x 1080 is 33 MB in, 2 to 10 MB out.

#include "round_trip.h"

#include "kernel.cuh"

namespace flow::kernels {

KERNEL(round_trip, RoundTripParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.width || y >= p.height) return;

  const float* forward = p.forward + static_cast<std::ptrdiff_t>(y) * p.ld_forward + x;
  const float u = forward[0], v = forward[static_cast<std::ptrdiff_t>(p.height) * p.ld_forward];
  const float to_x = static_cast<float>(x) + u, to_y = static_cast<float>(y) + v;
  const float last_x = static_cast<float>(p.width - 1), last_y = static_cast<float>(p.height - 1);
  float confidence = 0;
  bool occluded = true;
  if (to_x >= -0.5F && to_x < last_x + 0.5F && to_y >= -0.5F && to_y < last_y + 0.5F) {  // not if NaN
    const float at_x = fminf(fmaxf(to_x, 0.F), last_x), at_y = fminf(fmaxf(to_y, 0.F), last_y);
    const int left = static_cast<int>(at_x), top = static_cast<int>(at_y);
    const int right = min(left + 1, p.width - 1), bottom = min(top + 1, p.height - 1);
    const float part_x = at_x - static_cast<float>(left), part_y = at_y - static_cast<float>(top);
    float back[2];
    for (int plane = 0; plane < 2; plane++) {
      const float* upper = p.backward + static_cast<std::ptrdiff_t>(plane * p.height + top) * p.ld_backward;
      const float* lower = p.backward + static_cast<std::ptrdiff_t>(plane * p.height + bottom) * p.ld_backward;
      const float above = upper[left] * (1 - part_x) + upper[right] * part_x;
      const float below = lower[left] * (1 - part_x) + lower[right] * part_x;
      back[plane] = above * (1 - part_y) + below * part_y;
    }
    const float miss_x = u + back[0], miss_y = v + back[1];
    const float miss = miss_x * miss_x + miss_y * miss_y;
    const float limit = 0.01F * (u * u + v * v + back[0] * back[0] + back[1] * back[1]) + 0.5F;
    if (isfinite(miss)) {
      confidence = limit / (limit + miss);
      occluded = miss > limit;
    }
  }
  if (p.occlusion != nullptr) p.occlusion[static_cast<std::ptrdiff_t>(y) * p.width + x] = occluded ? 1 : 0;
  if (p.confidence != nullptr) p.confidence[static_cast<std::ptrdiff_t>(y) * p.ld_confidence + x] = confidence;
}

}  // namespace flow::kernels

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

#include "map_place.cuh"

namespace flow::kernels {

KERNEL(round_trip, RoundTripParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.width || y >= p.height) return;

  const float* forward = p.forward + static_cast<std::ptrdiff_t>(y) * p.ld_forward + x;
  const float u = forward[0], v = forward[static_cast<std::ptrdiff_t>(p.height) * p.ld_forward];
  const float to_x = static_cast<float>(x) + u, to_y = static_cast<float>(y) + v;
  float confidence = 0;
  bool occluded = true;
  if (is_inside_map(to_y, to_x, p.height, p.width)) {
    const MapPlace place(to_y, to_x, p.height, p.width);
    float back[2];
    for (int plane = 0; plane < 2; plane++) {
      back[plane] =
          place.mean(p.backward + static_cast<std::ptrdiff_t>(plane * p.height) * p.ld_backward, p.ld_backward);
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

// Forward-backward checks.
//
// round_trip: a pixel p goes to q = p + forward(p), and d = forward(p) + backward(q) is the distance by
// which it misses p on its way back. backward(q) is bilinear.
//
//   limit = 0.01 (|forward(p)|^2 + |backward(q)|^2) + 0.5      (Sundaram, Brox & Keutzer, ECCV 2010, equation 5)
//   confidence = limit / (limit + |d|^2), occlusion = |d|^2 > limit
//
// A pixel whose q lies outside of the map, or is not finite, has confidence 0 and is occluded.
//
// check_return: what a level of the refinement is sure of counts less where the way back misses; RefineStages defines
// it.
//
// Each pixel takes 2 reads of the forward flow, 8 of the backward flow, shared by neighbours, and 1 or 2 writes: memory
// limits it. 1920 x 1080 is 33 MB in, 2 to 10 MB out.

#include "round_trip.h"

#include "map_place.cuh"

namespace flow::kernels {

struct MapMotion {
  float x, y;
};

/// The motion of a planar flow between its pixels.
DEVICE MapMotion motion_at(const float* flow, int ld, float y, float x, int height, int width) {
  const MapPlace place(y, x, height, width);
  return {place.mean(flow, ld), place.mean(flow + static_cast<std::ptrdiff_t>(height) * ld, ld)};
}

DEVICE float squared_length(float x, float y) { return x * x + y * y; }

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
    const MapMotion back = motion_at(p.backward, p.ld_backward, to_y, to_x, p.height, p.width);
    const float miss = squared_length(u + back.x, v + back.y);
    const float limit = 0.01F * (u * u + v * v + squared_length(back.x, back.y)) + 0.5F;
    if (isfinite(miss)) {
      confidence = limit / (limit + miss);
      occluded = miss > limit;
    }
  }
  if (p.occlusion != nullptr) p.occlusion[static_cast<std::ptrdiff_t>(y) * p.width + x] = occluded ? 1 : 0;
  if (p.confidence != nullptr) p.confidence[static_cast<std::ptrdiff_t>(y) * p.ld_confidence + x] = confidence;
}

KERNEL(check_return, CheckReturnParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.width || y >= p.height) return;
  const float* flow = p.flow + static_cast<std::ptrdiff_t>(y) * p.ld_flow + x;
  const float u = flow[0], v = flow[static_cast<std::ptrdiff_t>(p.height) * p.ld_flow];
  const float to_x = static_cast<float>(x) + u + 0.5F, to_y = static_cast<float>(y) + v + 0.5F;
  const MapMotion back =
      motion_at(p.back, p.ld_back, to_y * p.scale - 0.5F, to_x * p.scale - 0.5F, p.back_height, p.back_width);
  const float motion_x = p.scale * u, motion_y = p.scale * v;
  const float miss = 4 * squared_length(motion_x + back.x, motion_y + back.y);  // a pixel of level 1 is two
  const float limit = 1 + 0.1F * sqrtf(squared_length(motion_x, motion_y)), square = limit * limit;
  p.sure[static_cast<std::ptrdiff_t>(y) * p.ld_sure + x] *= square * square / (square * square + miss);
}

}  // namespace flow::kernels

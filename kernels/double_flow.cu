// Twice a planar flow at twice the size, bilinear: pixel (x, y) covers pixels (2x, 2y) to (2x + 1, 2y + 1) of the
// result, so the weights are always 3/4 and 1/4. A last row or column beyond those repeats the one before.
//
// Each value takes 4 reads, shared by neighbours, and 1 write of 4 bytes: memory limits it. 1920 x 1080 from 960 x 540
// is 4.1 MB in, 16.6 MB out.

#include "double_flow.h"

#include "kernel.cuh"

namespace flow::kernels {

/// The source pixel that holds a value, and its neighbour on the nearer side.
struct DoubledTap {
  int own, other;

  DEVICE DoubledTap(int at, int count) : own(min(at / 2, count - 1)) {
    const int side = at >= 2 * count || at % 2 == 1 ? 1 : -1;
    other = min(max(own + side, 0), count - 1);
  }
};

KERNEL(double_flow, DoubleFlowParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const int plane = static_cast<int>(blockIdx.z);
  if (x >= p.to_width || y >= p.to_height) return;
  const DoubledTap across(x, p.width), down(y, p.height);
  const float* own = p.in + static_cast<std::ptrdiff_t>(plane * p.height + down.own) * p.ldi;
  const float* other = p.in + static_cast<std::ptrdiff_t>(plane * p.height + down.other) * p.ldi;
  const float here = own[across.own] + 0.25F * (other[across.own] - own[across.own]);
  const float beside = own[across.other] + 0.25F * (other[across.other] - own[across.other]);
  p.out[static_cast<std::ptrdiff_t>(plane * p.to_height + y) * p.ldo + x] = 1.5F * here + 0.5F * beside;
}

}  // namespace flow::kernels

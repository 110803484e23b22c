// A camera's frame becomes the rows of the patch embedding: 8-bit bilinear resize, x / 255, normalisation by ImageNet's
// mean and deviation, and the cut into patches. A value's row is (y / patch) * (width / patch) + x / patch, its column
// is (channel, y % patch, x % patch).
//
// The pixels equal the CPU engine's bit for bit, and so OpenCV's INTER_LINEAR: integers up to the rounded 8-bit value,
// then IEEE float32 in the order of the original. YUV becomes RGB at each of the four source pixels, before the
// resize.
//
// Each of the height * width pixels reads at most 4 source pixels, which neighbours share in L1, and writes 3 values.
// 640 x 640 of float16 from 1920 x 1080 of RGB is 6.2 MB in, 2.5 MB out. Latency is the limit and, on small devices,
// the integer arithmetic. Neighbouring threads write neighbouring columns of one patch: runs of `patch` elements.

#include "preprocess.h"

#include "frame_pixel.cuh"
#include "number.cuh"

namespace flow::kernels {

/// Two pixels of a row, weighted: OpenCV's HResizeLinear without the lowest 4 bits of the result.
template <class Reader>
DEVICE Pixel resize_across(const Reader& read, int y, const ResizeTap& tap) {
  const Pixel first = read(y, tap.first), second = read(y, tap.second);
  Pixel sum;
  for (int c = 0; c < 3; c++) {
    sum.channel[c] = (first.channel[c] * tap.weight[0] + second.channel[c] * tap.weight[1]) >> 4;
  }
  return sum;
}

/// Pixel (y, x) of the resized frame.
template <class Reader>
DEVICE Pixel resized_pixel(const PreprocessParams& p, const Reader& read, int y, int x) {
  if (!p.across) return read(y, x);
  const ResizeTap across = p.across[x], down = p.down[y];
  const Pixel upper = resize_across(read, down.first, across), lower = resize_across(read, down.second, across);
  Pixel result;
  for (int c = 0; c < 3; c++) {  // OpenCV's VResizeLinear: removes the weights' 22 bits in three steps, 4, 16 and 2
    const int sum = ((down.weight[0] * upper.channel[c]) >> 16) + ((down.weight[1] * lower.channel[c]) >> 16);
    result.channel[c] = clamp_level((sum + 2) >> 2);
  }
  return result;
}

template <class T>
DEVICE void preprocess(const PreprocessParams& p) {
  constexpr float mean[3] = {.485F, .456F, .406F}, deviation[3] = {.229F, .224F, .225F};
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.width || y >= p.height) return;

  const Pixel pixel = p.frame.to_rgb.luma != 0 ? resized_pixel(p, YuvReader{p.frame}, y, x)
                                               : resized_pixel(p, PackedReader{p.frame}, y, x);
  const std::ptrdiff_t row = y / p.patch * (p.width / p.patch) + x / p.patch;
  T* out = static_cast<T*>(p.patches) + row * p.ldp + y % p.patch * p.patch + x % p.patch;
  for (int c = 0; c < 3; c++) {
    // Every step rounds, regardless of the compiler flags.
    const float level = __fdiv_rn(static_cast<float>(pixel.channel[c]), 255.F);
    out[c * p.patch * p.patch] = from_float<T>(__fdiv_rn(__fsub_rn(level, mean[c]), deviation[c]));
  }
}

KERNEL(preprocess_f32, PreprocessParams, 256, 1) { preprocess<float>(p); }
KERNEL(preprocess_f16, PreprocessParams, 256, 1) { preprocess<__half>(p); }
KERNEL(preprocess_bf16, PreprocessParams, 256, 1) { preprocess<__nv_bfloat16>(p); }

}  // namespace flow::kernels

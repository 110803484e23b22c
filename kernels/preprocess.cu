// A camera's frame becomes the rows of the patch embedding: 8-bit bilinear resize, x / 255, normalisation by ImageNet's
// mean and deviation, and the cut into patches. A value's row is (y / patch) * (width / patch) + x / patch, its column
// is (channel, y % patch, x % patch).
//
// The pixels equal the CPU engine's bit for bit, and so OpenCV's INTER_LINEAR: integers up to the rounded 8-bit value,
// then IEEE float32 in the order of the original. NV12 becomes RGB at each of the four source pixels, before the
// resize.
//
// Each of the height * width pixels reads at most 4 source pixels, which neighbours share in L1, and writes 3 values.
// 640 x 640 of float16 from 1920 x 1080 of RGB is 6.2 MB in, 2.5 MB out. Latency is the limit and, on small devices,
// the integer arithmetic. Neighbouring threads write neighbouring columns of one patch: runs of `patch` elements.

#include "preprocess.h"

#include "number.cuh"

namespace flow::kernels {

struct Pixel {
  int channel[3];
};

DEVICE int clamp_level(int v) { return min(max(v, 0), 255); }

/// ITU-R BT.601, video range, in OpenCV's 20-bit fixed point (COLOR_YUV2RGB_NV12).
DEVICE Pixel nv12_to_rgb(int luma, int u, int v) {
  constexpr int bits = 20, half = 1 << (bits - 1);
  constexpr int y_gain = 1220542, v_to_r = 1673527, v_to_g = -852492, u_to_g = -409993, u_to_b = 2116026;
  const int y = max(0, luma - 16) * y_gain + half;
  u -= 128, v -= 128;
  return {clamp_level((y + v_to_r * v) >> bits), clamp_level((y + v_to_g * v + u_to_g * u) >> bits),
          clamp_level((y + u_to_b * u) >> bits)};
}

/// Reads pixels of interleaved channels. Channel positions are numbers, not branches, so that the loads of all pixels
/// are issued together.
struct PackedReader {
  const PreprocessParams& p;
  int step, red, green, blue;

  DEVICE explicit PackedReader(const PreprocessParams& params) : p(params) {
    const bool alpha = p.format == frame_rgba || p.format == frame_bgra, gray = p.format == frame_gray;
    const bool reversed = p.format == frame_bgr || p.format == frame_bgra;
    step = gray ? 1 : alpha ? 4 : 3;
    red = reversed ? 2 : 0;
    green = gray ? 0 : 1;
    blue = gray || reversed ? 0 : 2;
  }

  DEVICE Pixel operator()(int y, int x) const {
    const std::uint8_t* pixel = p.frame + y * p.stride + x * step;
    return {pixel[red], pixel[green], pixel[blue]};
  }
};

struct Nv12Reader {
  const PreprocessParams& p;

  DEVICE Pixel operator()(int y, int x) const {
    const std::uint8_t* chroma = p.frame + (p.frame_height + y / 2) * p.stride + x / 2 * 2;
    return nv12_to_rgb(p.frame[y * p.stride + x], chroma[0], chroma[1]);
  }
};

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
DEVICE Pixel resized_pixel(const Reader& read, int y, int x) {
  if (!read.p.across) return read(y, x);
  const ResizeTap across = read.p.across[x], down = read.p.down[y];
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

  const Pixel pixel =
      p.format == frame_nv12 ? resized_pixel(Nv12Reader{p}, y, x) : resized_pixel(PackedReader(p), y, x);
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

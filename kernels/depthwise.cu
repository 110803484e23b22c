// 3x3 depthwise convolution of [in * scale, extra], with zero padding. The scale of squeeze-and-excitation multiplies
// the finished sum, not every tap.
//
// 18 FLOPs per element, which is read and written once, so memory limits it: 1600 pixels of 849 float16 channels are
// 2.7 MB in and 2.7 MB out. A thread takes eight channels (16 bytes of float16) of depthwise_pixels neighbouring pixels
// of a row. It loads each of the 3 * (depthwise_pixels + 2) pixels around them once and uses it up to three times. It
// loads the float32 weights once for all its pixels. Consecutive threads take consecutive channels, then the next
// pixels.

#include "depthwise.h"

#include "number.cuh"

namespace flow::kernels {

/// Eight channels of the input, from `channel` on.
template <class T>
struct DepthwiseInput {
  const DepthwiseParams& p;
  int channel;

  DEVICE bool whole() const { return channel + 8 <= p.cols; }

  /// x = the channels of pixel `pixel`, without the scale. `ragged`: the group reaches into `extra` or beyond the last
  /// channel.
  template <bool ragged>
  DEVICE void load(int pixel, float (&x)[8]) const {
    if (!ragged || channel < p.cols) {
      load8(static_cast<const T*>(p.in) + static_cast<std::ptrdiff_t>(pixel) * p.ldi + channel, x);
    }
    if constexpr (ragged) {
      const float* extra = p.extra + static_cast<std::ptrdiff_t>(pixel) * p.ld_extra;
      for (int i = 0; i < 8; i++) {
        const int e = channel + i - p.cols;
        if (e >= 0) x[i] = e < p.extra_cols ? extra[e] : 0;
      }
    }
  }
};

template <class T, bool ragged>
DEVICE void convolve(const DepthwiseParams& p, const DepthwiseInput<T>& in, int y, int first) {
  float acc[depthwise_pixels][8] = {};
#pragma unroll
  for (int dy = -1; dy <= 1; dy++) {
    if (y + dy < 0 || y + dy >= p.height) continue;
    float weight[3][8];
    for (int t = 0; t < 3; t++) load8(p.weights + (3 * (dy + 1) + t) * p.ldw + in.channel, weight[t]);
#pragma unroll
    for (int column = -1; column <= depthwise_pixels; column++) {
      if (first + column < 0 || first + column >= p.width) continue;
      float x[8];
      in.template load<ragged>((y + dy) * p.width + first + column, x);
#pragma unroll
      for (int t = 0; t < 3; t++) {
        const int pixel = column + 1 - t;
        if (pixel < 0 || pixel >= depthwise_pixels) continue;
        for (int i = 0; i < 8; i++) acc[pixel][i] += x[i] * weight[t][i];
      }
    }
  }

  float scale[8];
  for (int i = 0; i < 8; i++) {
    const int c = in.channel + i;
    scale[i] = p.scale && c < p.cols ? p.scale[c] : c < p.cols + p.extra_cols ? 1 : 0;
  }
  LargestMagnitude largest;
#pragma unroll
  for (int pixel = 0; pixel < depthwise_pixels; pixel++) {
    if (first + pixel >= p.width) break;
    for (int i = 0; i < 8; i++) {
      acc[pixel][i] *= scale[i];
      largest.note_as<T>(acc[pixel][i]);
    }
    store8(static_cast<T*>(p.out) + static_cast<std::ptrdiff_t>(y * p.width + first + pixel) * p.ldo + in.channel,
           acc[pixel]);
  }
  largest.report_as<T>(p.excess);
}

template <class T>
DEVICE void depthwise(const DepthwiseParams& p) {
  const int groups = ceil_div(p.cols + p.extra_cols, 8), runs = ceil_div(p.width, depthwise_pixels);
  const int index = static_cast<int>((blockIdx.y * gridDim.x + blockIdx.x) * depthwise_threads + threadIdx.x);
  const int run = index / groups;
  if (run >= runs * p.height) return;

  const DepthwiseInput<T> in{p, index % groups * 8};
  const int y = run / runs, first = run % runs * depthwise_pixels;
  if (in.whole()) {
    convolve<T, false>(p, in, y, first);
  } else {
    convolve<T, true>(p, in, y, first);
  }
}

KERNEL(depthwise_f32, DepthwiseParams, depthwise_threads, 1) { depthwise<float>(p); }
KERNEL(depthwise_f16, DepthwiseParams, depthwise_threads, 1) { depthwise<__half>(p); }
KERNEL(depthwise_bf16, DepthwiseParams, depthwise_threads, 1) { depthwise<__nv_bfloat16>(p); }

}  // namespace flow::kernels

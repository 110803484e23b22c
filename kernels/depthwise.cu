// 3x3 depthwise convolution of [in * scale, extra], with zero padding. The scale is that of squeeze-and-excitation
// (Hu et al., 2018), whose second half is here. It multiplies the finished sum, not every tap.
//
// 18 FLOPs per element, which is read and written once, so memory limits it: 1600 pixels of 849 float16 channels are
// 2.7 MB in and 2.7 MB out. A thread takes eight channels (16 bytes of float16) of depthwise_pixels neighbouring pixels
// of a row. It loads each of the 3 * (depthwise_pixels + 2) pixels around them once and uses it up to three times. It
// loads the float32 weights once for all its pixels. Consecutive threads take consecutive channels, then the next
// pixels. A block takes few channels of a square tile, so that its threads find their neighbours' pixels in L1: 8 x 8
// pixels bring in 10 x 10 from L2, where rows of four would bring in 3 x 6.
//
// Each block computes the scale of its own channels: 64 dot products of `reduced` (40) elements, 10 KB of weights. A
// launch of its own for the scale would take longer than all of these together. Its loads come before those of the
// convolution and its barriers after them, so that the convolution hides its latency. The order of additions is fixed.

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

/// The scale of the block's channels, by two threads for each.
class Scale {
 public:
  /// Loads what does not depend on other threads.
  DEVICE Scale(const DepthwiseParams& p, float* shared)
      : p_(p), sums_(shared), hidden_(shared + 2 * depthwise_channels) {
    if (p.excite.squeezed == nullptr) return;
    load_weights(0);
    const Excite& e = p.excite;
    for (int r = static_cast<int>(threadIdx.x); r < e.reduced; r += depthwise_threads) {
      float sum = e.bias1[r];
#pragma unroll 8
      for (int slice = 0; slice < e.slices; slice++) sum += e.squeezed[slice * e.ld + r];
      hidden_[r] = silu(sum);
    }
  }

  /// Call in all threads of the block.
  DEVICE void finish() {
    if (p_.excite.squeezed == nullptr) return;
    __syncthreads();
    float sum = 0;
    for (int begin = 0; begin < p_.excite.reduced; begin += 2 * batch) {
      if (begin > 0) load_weights(begin);
#pragma unroll
      for (int i = 0; i < batch; i++) {
        const int r = row(begin, i);
        if (r < p_.excite.reduced) sum += weights_[i] * hidden_[r];
      }
    }
    sums_[threadIdx.x] = sum;
    __syncthreads();
  }

  /// Of channel c of the input, after `finish`.
  DEVICE float of(int c) const {
    if (c >= p_.cols) return c < p_.cols + p_.extra_cols ? 1.F : 0.F;
    if (p_.excite.squeezed == nullptr) return 1;
    const int i = c % depthwise_channels;
    return sigmoid(sums_[i] + sums_[i + depthwise_channels] + p_.excite.bias2[c]);
  }

 private:
  static_assert(depthwise_threads == 2 * depthwise_channels);
  static constexpr int batch = 20;  // weights of a thread that are loaded together

  static DEVICE int row(int begin, int i) { return begin + 2 * i + static_cast<int>(threadIdx.x) / depthwise_channels; }
  DEVICE void load_weights(int begin) {
    const int c =
        static_cast<int>(blockIdx.z) * depthwise_channels + static_cast<int>(threadIdx.x) % depthwise_channels;
#pragma unroll
    for (int i = 0; i < batch; i++) {
      const int r = row(begin, i);
      weights_[i] = r < p_.excite.reduced && c < p_.cols ? p_.excite.fc2[r * p_.cols + c] : 0;
    }
  }

  const DepthwiseParams& p_;
  float* sums_;  // 2 x depthwise_channels
  float* hidden_;
  float weights_[batch];
};

/// acc = the convolution, without the scale.
template <class T, bool ragged>
DEVICE void convolve(const DepthwiseParams& p, const DepthwiseInput<T>& in, int y, int first,
                     float (&acc)[depthwise_pixels][8]) {
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
}

template <class T>
DEVICE void depthwise(const DepthwiseParams& p) {
  constexpr int groups = depthwise_channels / 8, runs = depthwise_tile_width / depthwise_pixels;
  const int thread = static_cast<int>(threadIdx.x), run = thread / groups;
  const int channel = static_cast<int>(blockIdx.z) * depthwise_channels + thread % groups * 8;
  const int y = static_cast<int>(blockIdx.y) * depthwise_tile_height + run / runs;
  const int first = static_cast<int>(blockIdx.x) * depthwise_tile_width + run % runs * depthwise_pixels;
  const bool inside = channel < p.cols + p.extra_cols && y < p.height && first < p.width;

  SHARED_MEMORY(float, shared);
  Scale scales(p, shared);
  float acc[depthwise_pixels][8] = {};
  const DepthwiseInput<T> in{p, channel};
  if (inside && in.whole()) {
    convolve<T, false>(p, in, y, first, acc);
  } else if (inside) {
    convolve<T, true>(p, in, y, first, acc);
  }
  scales.finish();
  if (!inside) return;

  float scale[8];
  for (int i = 0; i < 8; i++) scale[i] = scales.of(channel + i);
  LargestMagnitude largest;
#pragma unroll
  for (int pixel = 0; pixel < depthwise_pixels; pixel++) {
    if (first + pixel >= p.width) break;
    for (int i = 0; i < 8; i++) {
      acc[pixel][i] *= scale[i];
      largest.note_as<T>(acc[pixel][i]);
    }
    store8(static_cast<T*>(p.out) + static_cast<std::ptrdiff_t>(y * p.width + first + pixel) * p.ldo + channel,
           acc[pixel]);
  }
  largest.report_as<T>(p.excess);
}

KERNEL(depthwise_f32, DepthwiseParams, depthwise_threads, 1) { depthwise<float>(p); }
KERNEL(depthwise_f16, DepthwiseParams, depthwise_threads, 1) { depthwise<__half>(p); }
KERNEL(depthwise_bf16, DepthwiseParams, depthwise_threads, 1) { depthwise<__nv_bfloat16>(p); }

}  // namespace flow::kernels

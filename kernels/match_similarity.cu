// How well the features of one frame are found in the next: the mean over all pixels of the best cosine with a pixel of
// the window in the other frame. The dot products are those of correlation.cu, divided by sqrt(channels) there.
//
// match_norms reads 2 * channels numbers per pixel, match_similarity the window's dot products and as many norms. At
// 40 x 40 pixels, 256 channels and radius 4 these are 1.6 MB and 0.3 MB from L2. match_similarity is one block, so that
// the sum has a fixed order and needs no second pass: its time is the latency of ceil(pixels / 256) windows.

#include "match_similarity.h"

#include "number.cuh"

namespace flow::kernels {

/// 1 / |x|, or 0 for a vector of zeros. By a full warp; every lane gets the result.
template <class T>
DEVICE float inverse_norm(const T* x, int count) {
  float square = 0;
  for (int i = lane_id(); i < count; i += warp_size) square += to_float(x[i]) * to_float(x[i]);
  for (int step = warp_size / 2; step > 0; step /= 2) square += __shfl_xor_sync(0xffffffff, square, step);
  return square > 0 ? 1.F / sqrtf(square) : 0.F;
}

template <class T>
DEVICE void match_norms(const MatchSimilarityParams& p) {
  const int pixels = p.height * p.width;
  const int pixel = static_cast<int>(blockIdx.x) * match_norms_pixels + warp_id();
  if (pixel >= pixels) return;
  const T* row = static_cast<const T*>(p.fused) + static_cast<std::ptrdiff_t>(pixel) * p.ldf;
  const float a = inverse_norm(row, p.channels), b = inverse_norm(row + p.channels, p.channels);
  if (lane_id() == 0) p.norms[pixel] = a, p.norms[pixels + pixel] = b;
}

/// The best cosine of pixel (y, x) with the pixels of its window.
template <class T>
DEVICE float best_cosine(const MatchSimilarityParams& p, int y, int x) {
  const int side = 2 * p.radius + 1, pixel = y * p.width + x;
  const T* dots = static_cast<const T*>(p.fused) + static_cast<std::ptrdiff_t>(pixel) * p.ldf + 3 * p.channels;
  const float* b = p.norms + p.height * p.width;
  float best = -1;
  for (int dy = -p.radius; dy <= p.radius; dy++) {
    for (int dx = -p.radius; dx <= p.radius; dx++) {
      if (y + dy < 0 || y + dy >= p.height || x + dx < 0 || x + dx >= p.width) continue;
      const float dot = to_float(dots[(dy + p.radius) * side + dx + p.radius]);
      best = fmaxf(best, dot * b[(y + dy) * p.width + x + dx]);
    }
  }
  return best * p.norms[pixel] * sqrtf(static_cast<float>(p.channels));
}

template <class T>
DEVICE void match_similarity(const MatchSimilarityParams& p) {
  SHARED_MEMORY(float, sums);
  const int thread = static_cast<int>(threadIdx.x), pixels = p.height * p.width;
  float sum = 0;
  for (int i = thread; i < pixels; i += match_similarity_threads) sum += best_cosine<T>(p, i / p.width, i % p.width);
  sums[thread] = sum;
  __syncthreads();
  for (int step = match_similarity_threads / 2; step > 0; step /= 2) {
    if (thread < step) sums[thread] += sums[thread + step];
    __syncthreads();
  }
  if (thread == 0) *p.similarity = sums[0] / static_cast<float>(pixels);
}

KERNEL(match_norms_f32, MatchSimilarityParams, match_norms_threads, 1) { match_norms<float>(p); }
KERNEL(match_norms_f16, MatchSimilarityParams, match_norms_threads, 1) { match_norms<__half>(p); }
KERNEL(match_norms_bf16, MatchSimilarityParams, match_norms_threads, 1) { match_norms<__nv_bfloat16>(p); }

KERNEL(match_similarity_f32, MatchSimilarityParams, match_similarity_threads, 1) { match_similarity<float>(p); }
KERNEL(match_similarity_f16, MatchSimilarityParams, match_similarity_threads, 1) { match_similarity<__half>(p); }
KERNEL(match_similarity_bf16, MatchSimilarityParams, match_similarity_threads, 1) {
  match_similarity<__nv_bfloat16>(p);
}

}  // namespace flow::kernels

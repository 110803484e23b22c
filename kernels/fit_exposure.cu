// Gain and offset of each channel between two frames: a line through the channel's means of up to some thousand patches
// and those of their moved places, where these lie in the frame. Each of four rounds weights a patch by
// 1 / (4 + |residual|) of the round before. The prior draws the gain towards 1 where all patches are alike.
//
// A round reads 64 pixels a patch, the first time from L2: 1200 patches are 300 kB a channel. A channel is one block,
// so that its sums have a fixed order and need no second pass: the time is the latency of a few patches a thread, four
// times.

#include "fit_exposure.h"

#include "patches.cuh"

namespace flow::kernels {

constexpr int fit_exposure_warps = fit_exposure_threads / warp_size;
constexpr int fit_exposure_rounds = 4;

/// Sums over the patches: x is the mean in the template and y that at the moved place, both less exposure_middle, since
/// squares of smaller numbers keep more digits.
enum { sum_w, sum_x, sum_y, sum_xx, sum_xy };
constexpr float exposure_middle = 128;

/// Mean of the patch that begins at the pixel of (x, y).
DEVICE float patch_mean(const ImageView& image, int channel, float x, float y) {
  const float* row = pixel_of(image, channel, static_cast<int>(y + nearest_pixel), static_cast<int>(x + nearest_pixel));
  float sum = 0;
#pragma unroll
  for (int i = 0; i < patch_side; i++, row += image.stride) {
#pragma unroll
    for (int c = 0; c < patch_side; c++) sum += row[c];
  }
  return sum / patch_pixels;
}

/// This thread's part of the sums, under the weights that the line gives.
DEVICE void add_patches(const FitExposureParams& p, bool weighted, float gain, float offset, float (&sums)[8]) {
  const PatchLayout& layout = p.layout;
  const int channel = static_cast<int>(blockIdx.x);
  const int across = ceil_div(layout.across, p.step), count = ceil_div(layout.down, p.step) * across;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += fit_exposure_threads) {
    const int row = i / across * p.step, column = i % across * p.step, index = row * layout.across + column;
    const float x = static_cast<float>(patch_start(column, layout.stride, p.to.width)) + p.patches[index].u;
    const float y = static_cast<float>(patch_start(row, layout.stride, p.to.height)) + p.patches[index].v;
    const bool inside = x >= 0 && y >= 0 && x <= static_cast<float>(p.to.width - patch_side) &&
                        y <= static_cast<float>(p.to.height - patch_side);
    if (!inside) continue;
    const float from = p.templates[index].mean[channel], to = patch_mean(p.to, channel, x, y);
    const float w = weighted ? 1 / (4 + fabsf(to - gain * from - offset)) : 1;
    const float dx = from - exposure_middle, dy = to - exposure_middle;
    sums[sum_w] += w, sums[sum_x] += w * dx, sums[sum_y] += w * dy;
    sums[sum_xx] += w * dx * dx, sums[sum_xy] += w * dx * dy;
  }
}

/// `difference`, or 0 up to `noise`, and less of it up to twice `noise`.
DEVICE float without_noise(float difference, float noise) {
  return difference * fminf(fmaxf(fabsf(difference) / noise - 1, 0.F), 1.F);
}

KERNEL(fit_exposure, FitExposureParams, fit_exposure_threads, 1) {
  SHARED_MEMORY(float, shared);
  float* const line = shared + fit_exposure_warps * fit_exposure_sums;
  float gain = 1, offset = 0;
#pragma unroll 1
  for (int round = 0; round < fit_exposure_rounds; round++) {
    float sums[8] = {};
    add_patches(p, round > 0, gain, offset, sums);
    warp_sums(sums);
    if (lane_id() == 0) {
      for (int i = 0; i < fit_exposure_sums; i++) shared[warp_id() * fit_exposure_sums + i] = sums[i];
    }
    __syncthreads();
    if (warp_id() == 0) {
      for (int i = 0; i < fit_exposure_sums; i++) {
        sums[i] = lane_id() < fit_exposure_warps ? shared[lane_id() * fit_exposure_sums + i] : 0;
      }
      warp_sums(sums);
      const double weight = sums[sum_w], x = sums[sum_x], y = sums[sum_y], prior = 10 * weight;
      if (weight > 0) {
        const double slope = (sums[sum_xy] - x * y / weight + prior) / (sums[sum_xx] - x * x / weight + prior);
        gain = static_cast<float>(slope);
        if (round == fit_exposure_rounds - 1) gain = 1 + without_noise(gain - 1, 0.04F);
        offset = static_cast<float>((y - gain * x) / weight + exposure_middle * (1 - gain));
        if (round == fit_exposure_rounds - 1) offset = without_noise(offset, 1);
      }
      if (lane_id() == 0) line[0] = gain, line[1] = offset;
    }
    __syncthreads();
    gain = line[0], offset = line[1];
  }
  if (threadIdx.x != 0) return;
  const int channel = static_cast<int>(blockIdx.x);
  p.exposure[channel] = fminf(fmaxf(gain, 0.3F), 3.F);
  p.exposure[4 + channel] = offset;
}

}  // namespace flow::kernels

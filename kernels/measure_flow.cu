// The measures from which a refined flow's confidence is computed: 8 of each pixel of level 1, most of them means over
// its window of 5 x 5 pixels. RefineStages::measure_flow defines them.
//
// A block computes the values of its 8 x 32 pixels and of 2 around, once each, into shared memory: 24 KB. Beyond the
// image the edge is repeated. Each thread then sums up the window of its pixel. Squares are of differences to the pixel
// in the window's middle, so that variances keep their digits: a motion of 100 px that varies by 0.1 px is measured as
// well as a small one.
//
// Half of 1920 x 1080 reads 1.5 times 41 MB (3 + 3 + 1 planes, some of them as bilinear neighbours, and 16 bytes of
// each flow a pixel) through L1 and writes 16.6 MB. The window takes 25 x 14 reads of shared memory and some 1000 FLOPs
// a pixel, 0.7 GB and 0.5 GFLOP together: shared memory limits it.

#include "measure_flow.h"

#include "image.cuh"
#include "map_place.cuh"

namespace flow::kernels {

/// The values of a pixel; each has a plane in shared memory.
enum MeasuredValue : int {
  measured_a,      // R, G and B of the pixel
  measured_w = 3,  // of the place that it moves to
  measured_difference = 6,
  measured_gx,
  measured_gy,
  measured_u,
  measured_v,
  measured_outside,
  measured_sure,
  measured_miss,
  measured_end
};
static_assert(measured_end == measure_values);

/// Half the mean of 2 x 2 motions: the motion of a pixel of level 1.
DEVICE float half_motion(const float* plane, int ld, int y, int x) {
  const float *upper = plane + static_cast<std::ptrdiff_t>(2 * y) * ld + 2 * x, *lower = upper + ld;
  return 0.125F * (upper[0] + upper[1] + lower[0] + lower[1]);
}

/// Writes the values of pixel (y, x), which lie measure_area apart.
DEVICE void measure_pixel(const MeasureFlowParams& p, int y, int x, float* values) {
  const int height = p.from.height, width = p.from.width;
  const auto set = [=](int value, float to) { values[value * measure_area] = to; };
  const float u = half_motion(p.flow.u, p.flow.ld, y, x), v = half_motion(p.flow.v, p.flow.ld, y, x);
  const float to_y = static_cast<float>(y) + v, to_x = static_cast<float>(x) + u;

  const ImagePosition moved = position_in(p.to, to_y, to_x, 1);
  float difference = 0;
#pragma unroll
  for (int c = 0; c < 3; c++) {
    const float a = *pixel_of(p.from, c, y, x), w = between_pixels(p.to, c, moved);
    set(measured_a + c, a), set(measured_w + c, w);
    difference += fabsf(w - p.exposure[c] * a - p.exposure[4 + c]);
  }
  set(measured_difference, difference * (1 / 3.F));
  const float* luma = pixel_of(p.from, 3, y, x);
  set(measured_gx, 0.5F * (luma[1] - luma[-1]));
  set(measured_gy, 0.5F * (luma[p.from.stride] - luma[-p.from.stride]));
  set(measured_u, u), set(measured_v, v);
  set(measured_outside, is_inside_map(to_y, to_x, height, width) ? 0.F : 1.F);
  set(measured_sure, p.sure[static_cast<std::ptrdiff_t>(y) * p.ld_sure + x]);
  float miss = 0;
  if (p.back.u != nullptr) {
    const MapPlace place(to_y, to_x, height, width);
    const auto back = [&](const float* plane) {
      return place.mean([&](int row, int column) { return half_motion(plane, p.back.ld, row, column); });
    };
    const float miss_x = u + back(p.back.u), miss_y = v + back(p.back.v);
    miss = miss_x * miss_x + miss_y * miss_y;
  }
  set(measured_miss, miss);
}

/// v / (v + scale)
DEVICE float measured_part(float v, float scale) { return v / (v + scale); }

/// Writes the measures of the pixel whose values are at `middle`; they lie `plane` apart.
DEVICE void measure_window(const float* middle, float* out, std::ptrdiff_t plane) {
  float a[3] = {}, w[3] = {}, aa = 0, ww = 0, aw = 0, difference = 0, xx = 0, xy = 0, yy = 0;
  float u = 0, v = 0, squares = 0, outside = 0, sure = 0, miss = 0;
  for (int dy = -measure_radius; dy <= measure_radius; dy++) {
#pragma unroll
    for (int dx = -measure_radius; dx <= measure_radius; dx++) {
      const float* pixel = middle + dy * measure_area_width + dx;
      const auto value = [=](int index) { return pixel[index * measure_area]; };
      const auto change = [=](int index) { return value(index) - middle[index * measure_area]; };
#pragma unroll
      for (int c = 0; c < 3; c++) {
        const float own = change(measured_a + c), moved = change(measured_w + c);
        a[c] += own, w[c] += moved;
        aa += own * own, ww += moved * moved, aw += own * moved;
      }
      difference += value(measured_difference);
      const float g_x = value(measured_gx), g_y = value(measured_gy);
      xx += g_x * g_x, xy += g_x * g_y, yy += g_y * g_y;
      const float u_change = change(measured_u), v_change = change(measured_v);
      u += u_change, v += v_change, squares += u_change * u_change + v_change * v_change;
      outside += value(measured_outside), sure += value(measured_sure), miss += value(measured_miss);
    }
  }
  constexpr float share = 1.F / ((2 * measure_radius + 1) * (2 * measure_radius + 1));
  float variance_a = aa * share, variance_w = ww * share, covariance = aw * share;
#pragma unroll
  for (int c = 0; c < 3; c++) {
    const float mean_a = a[c] * share, mean_w = w[c] * share;
    variance_a -= mean_a * mean_a, variance_w -= mean_w * mean_w, covariance -= mean_a * mean_w;
  }
  variance_a = fmaxf(variance_a, 0.F), variance_w = fmaxf(variance_w, 0.F);
  const float gain = fminf(fmaxf(sqrtf((variance_a + 12) / (variance_w + 12)), 0.5F), 2.F);
  const float unlike = fmaxf(gain * gain * variance_w - 2 * gain * covariance + variance_a, 0.F);
  const float unequal = difference * share;
  xx *= share, xy *= share, yy *= share;
  const float half = 0.5F * (xx - yy), texture = fmaxf(0.5F * (xx + yy) - sqrtf(half * half + xy * xy), 0.F);
  u *= share, v *= share;
  const float spread = fmaxf(squares * share - u * u - v * v, 0.F);
  const float own_u = middle[measured_u * measure_area], own_v = middle[measured_v * measure_area];
  out[0] = measured_part(unlike, 12);
  out[plane] = measured_part(unequal * unequal, 4);
  out[2 * plane] = measured_part(texture, 4);
  out[3 * plane] = measured_part(spread, 0.05F);
  out[4 * plane] = outside * share;
  out[5 * plane] = sure * share;
  out[6 * plane] = measured_part(own_u * own_u + own_v * own_v, 64);
  out[7 * plane] = measured_part(miss * share, 0.05F);
}

KERNEL(measure_flow, MeasureFlowParams, measure_threads, 1) {
  SHARED_MEMORY(float, values);
  const int height = p.from.height, width = p.from.width;
  const int top = static_cast<int>(blockIdx.y) * measure_tile_height,
            left = static_cast<int>(blockIdx.x) * measure_tile_width;
  const int row = static_cast<int>(threadIdx.y), column = static_cast<int>(threadIdx.x);
  for (int i = row * measure_tile_width + column; i < measure_area; i += measure_threads) {
    const int y = nearest_inside(top - measure_radius + i / measure_area_width, height);
    const int x = nearest_inside(left - measure_radius + i % measure_area_width, width);
    measure_pixel(p, y, x, values + i);
  }
  __syncthreads();
  const int y = top + row, x = left + column;
  if (y >= height || x >= width) return;
  const float* middle = values + (row + measure_radius) * measure_area_width + column + measure_radius;
  measure_window(middle, p.measures + static_cast<std::ptrdiff_t>(y) * p.ld_measures + x,
                 static_cast<std::ptrdiff_t>(height) * p.ld_measures);
}

}  // namespace flow::kernels

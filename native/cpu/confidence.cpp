#include "cpu/confidence.h"

#include <algorithm>
#include <cmath>

namespace flow::cpu {

namespace {

constexpr int radius = 2, side = 2 * radius + 1;

/// What is averaged over windows. Values of a row lie side by side, one row of values per moment.
enum Moment : int {
  a_r,  // A and W, for each channel
  a_g,
  a_b,
  w_r,
  w_g,
  w_b,
  aa,  // products, added up over the channels
  ww,
  aw,
  difference,
  g_xx,
  g_xy,
  g_yy,
  flow_x,
  flow_y,
  flow_square,
  outside,
  certain,
  miss,
  moment_count
};

/// Pixels of a row of moments, with `radius` more at each end.
int padded_width(const MeasureJob& job) { return job.width + 2 * radius; }

float half_mean(const float* plane, std::ptrdiff_t stride, int y, int x) {
  const float *upper = plane + 2 * y * stride + 2 * x, *lower = upper + stride;
  return 0.125F * (upper[0] + upper[1] + lower[0] + lower[1]);
}

/// A place between pixels, held inside the image.
struct Place {
  int x, y, right, below;  // the upper left pixel, and steps to the others
  float part_x, part_y;

  Place(float at_x, float at_y, int width, int height) {
    at_x = std::clamp(at_x, 0.F, static_cast<float>(width - 1));
    at_y = std::clamp(at_y, 0.F, static_cast<float>(height - 1));
    x = static_cast<int>(at_x), y = static_cast<int>(at_y);
    right = x + 1 < width ? 1 : 0, below = y + 1 < height ? 1 : 0;
    part_x = at_x - static_cast<float>(x), part_y = at_y - static_cast<float>(y);
  }
  template <class At>
  float mean(const At& at) const {
    const float above = at(y, x) * (1 - part_x) + at(y, x + right) * part_x;
    const float under = at(y + below, x) * (1 - part_x) + at(y + below, x + right) * part_x;
    return above * (1 - part_y) + under * part_y;
  }
};

/// The moments of one pixel, `step` apart.
void moments_at(const MeasureJob& job, int y, int x, float* out, std::ptrdiff_t step) {
  const auto set = [&](int moment, float value) { out[moment * step] = value; };
  const float u = half_mean(job.flow.u, job.flow.stride, y, x), v = half_mean(job.flow.v, job.flow.stride, y, x);
  const float to_x = static_cast<float>(x) + u, to_y = static_cast<float>(y) + v;
  const bool inside = to_x >= -0.5F && to_y >= -0.5F && to_x < static_cast<float>(job.width) - 0.5F &&
                      to_y < static_cast<float>(job.height) - 0.5F;
  const Place place(to_x, to_y, job.width, job.height);
  float squares = 0, moved_squares = 0, products = 0, differences = 0;
  for (int c = 0; c < 3; c++) {
    const float a = job.from[c].row(y)[x];
    const float w = place.mean([&](int row, int column) { return job.to[c].row(row)[column]; });
    set(a_r + c, a), set(w_r + c, w);
    squares += a * a, moved_squares += w * w, products += a * w;
    differences += std::abs(w - job.exposure[c] * a - job.exposure[4 + c]);
  }
  set(aa, squares), set(ww, moved_squares), set(aw, products), set(difference, differences / 3);
  const float* luma = job.luma.row(y) + x;
  const float g_x = 0.5F * (luma[1] - luma[-1]), g_y = 0.5F * (luma[job.luma.stride] - luma[-job.luma.stride]);
  set(g_xx, g_x * g_x), set(g_xy, g_x * g_y), set(g_yy, g_y * g_y);
  set(flow_x, u), set(flow_y, v), set(flow_square, u * u + v * v);
  set(outside, inside ? 0.F : 1.F);
  set(certain, job.sure[y * job.ld_sure + x]);
  float missed = 0;
  if (job.back.u != nullptr) {
    const auto back = [&](const float* plane) {
      return place.mean([&](int row, int column) { return half_mean(plane, job.back.stride, row, column); });
    };
    const float miss_x = u + back(job.back.u), miss_y = v + back(job.back.v);
    missed = miss_x * miss_x + miss_y * miss_y;
  }
  set(miss, missed);
}

/// The moments of row `y`, with the edge repeated.
void moments_of_row(const MeasureJob& job, int y, float* out) {
  const int padded = padded_width(job);
  for (int x = 0; x < job.width; x++) moments_at(job, y, x, out + radius + x, padded);
  for (int moment = 0; moment < moment_count; moment++) {
    float* row = out + static_cast<std::ptrdiff_t>(moment) * padded;
    std::fill_n(row, radius, row[radius]);
    std::fill_n(row + radius + job.width, radius, row[radius + job.width - 1]);
  }
}

/// v / (v + scale)
float part(float v, float scale) { return v / (v + scale); }

}  // namespace

std::size_t measure_scratch(const MeasureJob& job) {
  return static_cast<std::size_t>(side + 1) * moment_count * static_cast<std::size_t>(padded_width(job));
}

void measure_rows(const MeasureJob& job, int item, float* scratch) {
  const int first = item * measure_band, end = std::min(job.height, first + measure_band);
  const std::ptrdiff_t padded = padded_width(job), row_floats = moment_count * padded;
  float* sums = scratch + side * row_floats;
  // The moments of row y are at y % side, so that a new row takes the place of the one that is no longer in the window.
  const auto moments = [&](int y) { return scratch + (y % side) * row_floats; };
  const auto held = [&](int y) { return std::clamp(y, 0, job.height - 1); };
  for (int y = held(first - radius); y < held(first + radius); y++) moments_of_row(job, y, moments(y));
  for (int y = first; y < end; y++) {
    if (y == first || y + radius < job.height) moments_of_row(job, held(y + radius), moments(held(y + radius)));
    std::fill_n(sums, row_floats, 0.F);
    for (int dy = -radius; dy <= radius; dy++) {
      const float* row = moments(held(y + dy));
      for (std::ptrdiff_t i = 0; i < row_floats; i++) sums[i] += row[i];
    }
    for (int x = 0; x < job.width; x++) {
      const auto mean = [&](int moment) {
        const float* sum = sums + moment * padded + x;
        return (sum[0] + sum[1] + sum[2] + sum[3] + sum[4]) / (side * side);
      };
      float variance_a = mean(aa), variance_w = mean(ww), covariance = mean(aw);
      for (int c = 0; c < 3; c++) {
        const float a = mean(a_r + c), w = mean(w_r + c);
        variance_a -= a * a, variance_w -= w * w, covariance -= a * w;
      }
      variance_a = std::max(0.F, variance_a), variance_w = std::max(0.F, variance_w);
      const float gain = std::clamp(std::sqrt((variance_a + 12) / (variance_w + 12)), 0.5F, 2.F);
      const float unlike = std::max(0.F, gain * gain * variance_w - 2 * gain * covariance + variance_a);
      const float unequal = mean(difference);
      const float xx = mean(g_xx), xy = mean(g_xy), yy = mean(g_yy), half = 0.5F * (xx - yy);
      const float texture = std::max(0.F, 0.5F * (xx + yy) - std::sqrt(half * half + xy * xy));
      const float u = mean(flow_x), v = mean(flow_y);
      const float spread = std::max(0.F, mean(flow_square) - u * u - v * v);
      const float own = moments(y)[flow_square * padded + radius + x];
      const float measures[measure_count] = {part(unlike, 12), part(unequal * unequal, 4),
                                             part(texture, 4), part(spread, .05F),
                                             mean(outside),    mean(certain),
                                             part(own, 64),    part(mean(miss), .05F)};
      for (int i = 0; i < measure_count; i++) {
        job.measures[(static_cast<std::ptrdiff_t>(i) * job.height + y) * job.ld_measures + x] = measures[i];
      }
    }
  }
}

void rate_row(RealMatrix measures, const ConfidenceWeights& weights, RealMatrix rated, int row) {
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(rated.rows) * measures.stride;
  const float* in = static_cast<const float*>(measures.data) + static_cast<std::ptrdiff_t>(row) * measures.stride;
  float* out = static_cast<float*>(rated.data) + static_cast<std::ptrdiff_t>(row) * rated.stride;
  for (int x = 0; x < rated.cols; x++) {
    float z = weights.out[hidden_count];
    for (int i = 0; i < hidden_count; i++) {
      float sum = weights.hidden[i][measure_count];
      for (int m = 0; m < measure_count; m++) sum += weights.hidden[i][m] * in[m * plane + x];
      z += weights.out[i] * sum / (1 + std::abs(sum));
    }
    out[x] = 1 / (1 + std::exp(-z));
  }
}

void resize_row(RealMatrix in, float scale_down, float scale_across, RealMatrix out, int row) {
  const auto* from = static_cast<const float*>(in.data);
  float* to = static_cast<float*>(out.data) + static_cast<std::ptrdiff_t>(row) * out.stride;
  const float at_y = (static_cast<float>(row) + 0.5F) * scale_down - 0.5F;
  for (int x = 0; x < out.cols; x++) {
    const Place place((static_cast<float>(x) + 0.5F) * scale_across - 0.5F, at_y, in.cols, in.rows);
    to[x] = place.mean([&](int y, int column) { return from[static_cast<std::ptrdiff_t>(y) * in.stride + column]; });
  }
}

}  // namespace flow::cpu

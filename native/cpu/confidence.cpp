#include "cpu/confidence.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "cpu/map_place.h"

namespace flow::cpu {

namespace {

constexpr int radius = 2, side = 2 * radius + 1;

/// What is kept of each pixel. The first ones are summed over windows. The motion is kept as it is: of windows, the
/// differences to their middle are summed, since squares of long motions would hide how little they differ.
enum Moment : int {
  a_r,  // A and W less `middle`, for each channel
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
  outside,
  certain,
  miss,
  summed_count,
  flow_x = summed_count,
  flow_y,
  moment_count
};

/// In the middle of 0..255: squares of what is left of a colour keep more of their digits.
constexpr float middle = 128;

/// Pixels of a row of moments, with `radius` more at each end. A moment's pixels lie side by side, those of the next
/// moment behind them.
std::ptrdiff_t padded_width(const MeasureJob& job) { return job.width + 2 * radius; }

float half_mean(const float* plane, std::ptrdiff_t stride, int y, int x) {
  const float *upper = plane + 2 * y * stride + 2 * x, *lower = upper + stride;
  return 0.125F * (upper[0] + upper[1] + lower[0] + lower[1]);
}

/// Writes what depends on where a pixel goes: W, the motion, whether it leaves the frame, and its miss.
void follow_pixel(const MeasureJob& job, int y, int x, float* out, std::ptrdiff_t step) {
  const float u = half_mean(job.flow.u, job.flow.stride, y, x), v = half_mean(job.flow.v, job.flow.stride, y, x);
  const float to_x = static_cast<float>(x) + u, to_y = static_cast<float>(y) + v;
  const bool inside = to_x >= -0.5F && to_y >= -0.5F && to_x < static_cast<float>(job.width) - 0.5F &&
                      to_y < static_cast<float>(job.height) - 0.5F;
  const MapPlace place(to_y, to_x, job.height, job.width);
  for (int c = 0; c < 3; c++) {
    out[(w_r + c) * step] = place.mean([&](int row, int column) { return job.to[c].row(row)[column]; }) - middle;
  }
  out[flow_x * step] = u, out[flow_y * step] = v;
  out[outside * step] = inside ? 0.F : 1.F;
  float missed = 0;
  if (job.back.u != nullptr) {
    const auto back = [&](const float* plane) {
      return place.mean([&](int row, int column) { return half_mean(plane, job.back.stride, row, column); });
    };
    const float miss_x = u + back(job.back.u), miss_y = v + back(job.back.v);
    missed = miss_x * miss_x + miss_y * miss_y;
  }
  out[miss * step] = missed;
}

/// The moments of row `y`, with the edge repeated.
void moments_of_row(const MeasureJob& job, int y, float* out) {
  const std::ptrdiff_t padded = padded_width(job);
  const auto values = [&](int moment) { return out + moment * padded + radius; };
  for (int x = 0; x < job.width; x++) follow_pixel(job, y, x, out + radius + x, padded);
  for (const int moment : {aa, ww, aw, difference}) std::fill_n(values(moment), job.width, 0.F);
  for (int c = 0; c < 3; c++) {
    const float *pixels = job.from[c].row(y), *w = values(w_r + c);
    float *a = values(a_r + c), *squares = values(aa), *moved_squares = values(ww), *products = values(aw),
          *differences = values(difference);
    const float gain = job.exposure[c], offset = job.exposure[4 + c] + middle * (gain - 1);
    for (int x = 0; x < job.width; x++) {
      a[x] = pixels[x] - middle;
      squares[x] += a[x] * a[x], moved_squares[x] += w[x] * w[x], products[x] += a[x] * w[x];
      differences[x] += std::abs(w[x] - gain * a[x] - offset) / 3;
    }
  }
  const float *luma = job.luma.row(y), *above = job.luma.row(y - 1), *below = job.luma.row(y + 1);
  float *xx = values(g_xx), *xy = values(g_xy), *yy = values(g_yy);
  for (int x = 0; x < job.width; x++) {
    const float g_x = 0.5F * (luma[x + 1] - luma[x - 1]), g_y = 0.5F * (below[x] - above[x]);
    xx[x] = g_x * g_x, xy[x] = g_x * g_y, yy[x] = g_y * g_y;
  }
  std::copy_n(job.sure + y * job.ld_sure, job.width, values(certain));
  for (int moment = 0; moment < moment_count; moment++) {
    float* row = values(moment);
    std::fill_n(row - radius, radius, row[0]);
    std::fill_n(row + job.width, radius, row[job.width - 1]);
  }
}

/// The moments of the rows that are in a window.
struct WindowRows {
  std::array<const float*, side> rows;
  std::ptrdiff_t padded;
  int width;

  /// sums[x] = the mean of a moment over the window around x.
  void mean(int moment, float* sums) const {
    const float* row[side];
    for (int i = 0; i < side; i++) row[i] = rows[i] + moment * padded;
    for (int x = 0; x < padded; x++) sums[x] = row[0][x] + row[1][x] + row[2][x] + row[3][x] + row[4][x];
    for (int x = 0; x < width; x++) {
      sums[x] = (sums[x] + sums[x + 1] + sums[x + 2] + sums[x + 3] + sums[x + 4]) * (1.F / (side * side));
    }
  }

  /// out[x] = the variance of a motion's component over the window around x. `means` is scratch.
  void variance(int moment, float* out, float* means) const {
    const float* own = rows[radius] + moment * padded + radius;
    std::fill_n(out, width, 0.F), std::fill_n(means, width, 0.F);
    for (const float* moments : rows) {
      for (int dx = 0; dx < side; dx++) {
        const float* other = moments + moment * padded + dx;
        for (int x = 0; x < width; x++) {
          const float change = other[x] - own[x];
          means[x] += change, out[x] += change * change;
        }
      }
    }
    for (int x = 0; x < width; x++) {
      const float mean = means[x] * (1.F / (side * side));
      out[x] = std::max(0.F, out[x] * (1.F / (side * side)) - mean * mean);
    }
  }
};

/// v / (v + scale)
float part(float v, float scale) { return v / (v + scale); }

}  // namespace

std::size_t measure_scratch(const MeasureJob& job) {
  return static_cast<std::size_t>((side + 1) * moment_count + 1) * static_cast<std::size_t>(padded_width(job));
}

void measure_rows(const MeasureJob& job, int item, float* scratch) {
  const int first = item * measure_band, end = std::min(job.height, first + measure_band);
  const std::ptrdiff_t padded = padded_width(job);
  float *means = scratch + side * moment_count * padded, *spare = means + moment_count * padded;
  // The moments of row y are at y % side, so that a new row takes the place of the one that is no longer in the window.
  const auto moments = [&](int y) { return scratch + (y % side) * moment_count * padded; };
  const auto held = [&](int y) { return std::clamp(y, 0, job.height - 1); };
  for (int y = held(first - radius); y < held(first + radius); y++) moments_of_row(job, y, moments(y));
  for (int y = first; y < end; y++) {
    if (y == first || y + radius < job.height) moments_of_row(job, held(y + radius), moments(held(y + radius)));
    WindowRows window{{}, padded, job.width};
    for (int i = 0; i < side; i++) window.rows[i] = moments(held(y + i - radius));
    for (int moment = 0; moment < summed_count; moment++) window.mean(moment, means + moment * padded);
    for (const int moment : {flow_x, flow_y}) window.variance(moment, means + moment * padded, spare);
    const float *u = moments(y) + flow_x * padded + radius, *v = moments(y) + flow_y * padded + radius;
    float* out = job.measures + y * job.ld_measures;
    const std::ptrdiff_t plane = job.height * job.ld_measures;
    for (int x = 0; x < job.width; x++) {
      const auto mean = [&](int moment) { return means[moment * padded + x]; };
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
      out[x] = part(unlike, 12);
      out[plane + x] = part(unequal * unequal, 4);
      out[2 * plane + x] = part(texture, 4);
      out[3 * plane + x] = part(mean(flow_x) + mean(flow_y), .05F);
      out[4 * plane + x] = mean(outside);
      out[5 * plane + x] = mean(certain);
      out[6 * plane + x] = part(u[x] * u[x] + v[x] * v[x], 64);
      out[7 * plane + x] = part(mean(miss), .05F);
    }
  }
}

void rate_row(RealMatrix measures, const ConfidenceWeights& weights, RealMatrix rated, int row) {
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(rated.rows) * measures.stride;
  const float* in = static_cast<const float*>(measures.data) + static_cast<std::ptrdiff_t>(row) * measures.stride;
  float* out = static_cast<float*>(rated.data) + static_cast<std::ptrdiff_t>(row) * rated.stride;
  std::fill_n(out, rated.cols, weights.out[hidden_count]);
  for (int i = 0; i < hidden_count; i++) {
    const float *hidden = weights.hidden[i], weight = weights.out[i];
    for (int x = 0; x < rated.cols; x++) {
      float sum = hidden[measure_count];
      for (int m = 0; m < measure_count; m++) sum += hidden[m] * in[m * plane + x];
      out[x] += weight * sum / (1 + std::abs(sum));
    }
  }
  for (int x = 0; x < rated.cols; x++) out[x] = 1 / (1 + std::exp(-out[x]));
}

void resize_row(RealMatrix in, float scale_down, float scale_across, RealMatrix out, int row, float* scratch) {
  const auto tap = [](int at, float scale, int count) {
    return Tap((static_cast<float>(at) + 0.5F) * scale - 0.5F, count);
  };
  const Tap down = tap(row, scale_down, in.rows);
  const auto* pixels = static_cast<const float*>(in.data);
  const float* upper = pixels + static_cast<std::ptrdiff_t>(down.first) * in.stride;
  const float* lower = pixels + static_cast<std::ptrdiff_t>(down.second) * in.stride;
  for (int x = 0; x < in.cols; x++) scratch[x] = down.between(upper[x], lower[x]);
  float* to = static_cast<float*>(out.data) + static_cast<std::ptrdiff_t>(row) * out.stride;
  for (int x = 0; x < out.cols; x++) {
    const Tap across = tap(x, scale_across, in.cols);
    to[x] = across.between(scratch[across.first], scratch[across.second]);
  }
}

}  // namespace flow::cpu

#include "cpu/motion_fit.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace flow::cpu {

namespace {

/// Solves a symmetric positive system in place, without pivots. False if it is singular.
template <int N>
bool solve(double (&a)[N][N], double (&b)[N]) {
  for (int i = 0; i < N; i++) {
    if (!(std::abs(a[i][i]) > 1e-14)) return false;
    for (int r = i + 1; r < N; r++) {
      const double factor = a[r][i] / a[i][i];
      for (int c = i; c < N; c++) a[r][c] -= factor * a[i][c];
      b[r] -= factor * b[i];
    }
  }
  for (int i = N - 1; i >= 0; i--) {
    for (int c = i + 1; c < N; c++) b[i] -= a[i][c] * b[c];
    b[i] /= a[i][i];
  }
  return true;
}

}  // namespace

/// Falls from 1 to 0 as the cost rises to 2.4 typical ones; 0 where the pixel leaves the frame.
float MotionFit::weight(int start, int x, int y) const {
  const FlowPlanes flow = labels_.flow(start);
  const float to_x = static_cast<float>(x) + flow.u[y * flow.stride + x];
  const float to_y = static_cast<float>(y) + flow.v[y * flow.stride + x];
  const auto last_x = static_cast<float>(flow.width - 1), last_y = static_cast<float>(flow.height - 1);
  if (to_x < 0 || to_y < 0 || to_x > last_x || to_y > last_y) return 0;
  const float cost = labels_.cost(start)[y * labels_.ld + x] * rate_;
  const float part = std::max(0.F, 1 - cost * cost / 6);
  return part * part;
}

float MotionFit::tolerance(int start, int x, int y) const {
  const FlowPlanes flow = labels_.flow(start);
  const std::ptrdiff_t at = y * flow.stride + x;
  return options_.tolerance + options_.fraction * (std::abs(flow.u[at]) + std::abs(flow.v[at]));
}

void MotionFit::find_windows() {
  windows_.clear();
  const int height = labels_.height, width = labels_.width;
  const LabelGrids grids(height, width);
  for (int start = 0; start < starts_; start++) {
    for (const int radius : {grids.fine, grids.coarse}) {
      if (2 * radius + 1 > std::min(height, width)) continue;
      for (int y = radius / 2; y < height; y += radius) {
        for (int x = radius / 2; x < width; x += radius) windows_.push_back({start, x, y, radius});
      }
    }
  }
}

/// The affine motion of a window, if enough of its pixels are sure.
void MotionFit::fit_window(const Window& window, Candidate& candidate) const {
  candidate.explained = 0;
  const FlowPlanes flow = labels_.flow(window.start);
  const int height = labels_.height, width = labels_.width, radius = window.radius, step = std::max(1, radius / 5);
  const float unit = 1 / static_cast<float>(width);
  float sum = 0, x1 = 0, y1 = 0, xx = 0, xy = 0, yy = 0, u1 = 0, ux = 0, uy = 0, v1 = 0, vx = 0, vy = 0;
  int count = 0;
  for (int j = -radius; j <= radius; j += step) {
    for (int i = -radius; i <= radius; i += step, count++) {
      const int at_x = window.x + i, at_y = window.y + j;
      if (at_x < 0 || at_y < 0 || at_x >= width || at_y >= height) continue;
      const float w = weight(window.start, at_x, at_y);
      const float x = static_cast<float>(i) * unit, y = static_cast<float>(j) * unit, wx = w * x, wy = w * y;
      const float u = flow.u[at_y * flow.stride + at_x] * unit, v = flow.v[at_y * flow.stride + at_x] * unit;
      sum += w, x1 += wx, y1 += wy, xx += wx * x, xy += wx * y, yy += wy * y;
      u1 += w * u, ux += wx * u, uy += wy * u, v1 += w * v, vx += wx * v, vy += wy * v;
    }
  }
  if (sum < 0.2F * static_cast<float>(count)) return;
  double a[3][3] = {{sum + 1e-6, x1, y1}, {x1, xx + 1e-6, xy}, {y1, xy, yy + 1e-6}}, b[3][3];
  std::copy(&a[0][0], &a[0][0] + 9, &b[0][0]);
  double u[3] = {u1, ux, uy}, v[3] = {v1, vx, vy};
  if (!solve(a, u) || !solve(b, v)) return;
  for (const double slope : {u[1], u[2], v[1], v[2]}) {
    if (!(std::abs(slope) < 1.2)) return;
  }
  const double x = (width * 0.5 - window.x) * unit, y = (height * 0.5 - window.y) * unit;  // of the centre
  candidate.motion = {{static_cast<float>(u[1]), static_cast<float>(u[2]),
                       static_cast<float>(u[0] + u[1] * x + u[2] * y), static_cast<float>(v[1]),
                       static_cast<float>(v[2]), static_cast<float>(v[0] + v[1] * x + v[2] * y)}};
  candidate.explained = INFINITY;
}

int MotionFit::take_samples() {
  const int height = labels_.height, width = labels_.width, step = LabelGrids(height, width).samples;
  const int count = ((height + step - 1) / step) * ((width + step - 1) / step);
  const int padded = (count + sample_lanes - 1) / sample_lanes * sample_lanes;
  const std::size_t arrays = 3 + 4 * static_cast<std::size_t>(starts_);
  samples_.assign(arrays * static_cast<std::size_t>(padded), 0.F);
  float* next = samples_.data();
  const auto array = [&] { return std::exchange(next, next + padded); };
  float *x = array(), *y = array(), *left = array();
  at_ = {padded, starts_, static_cast<float>(width), x, y, left, {}, {}, {}, {}};
  const float unit = 1 / static_cast<float>(width);
  const auto for_all = [&](const auto& take) {
    int i = 0;
    for (int at_y = 0; at_y < height; at_y += step) {
      for (int at_x = 0; at_x < width; at_x += step) take(i++, at_x, at_y);
    }
  };
  for_all([&](int i, int at_x, int at_y) {
    x[i] = (static_cast<float>(at_x) - 0.5F * static_cast<float>(width)) * unit;
    y[i] = (static_cast<float>(at_y) - 0.5F * static_cast<float>(height)) * unit;
    left[i] = 1;
  });
  for (int k = 0; k < starts_; k++) {
    const FlowPlanes flow = labels_.flow(k);
    float *u = array(), *v = array(), *w = array(), *inverse = array();
    at_.u[k] = u, at_.v[k] = v, at_.weight[k] = w, at_.inverse[k] = inverse;
    for_all([&](int i, int at_x, int at_y) {
      const std::ptrdiff_t at = at_y * flow.stride + at_x;
      u[i] = flow.u[at], v[i] = flow.v[at];
      w[i] = weight(k, at_x, at_y), inverse[i] = 1 / tolerance(k, at_x, at_y);
    });
  }
  return count;
}

/// Fits the eight parameters to the pixels that the motion explains. Their difference from a motion of zero is solved
/// for, so that a flow of exact zeros gives exact zeros.
void MotionFit::refine(Affine start, float* motion) const {
  const int height = labels_.height, width = labels_.width, step = LabelGrids(height, width).fitted;
  const float unit = 1 / static_cast<float>(width), size = static_cast<float>(width);
  const float centre_x = 0.5F * size, centre_y = 0.5F * static_cast<float>(height);
  double d[8] = {start.d[0], start.d[1], start.d[2], start.d[3], start.d[4], start.d[5], 0, 0};
  for (int pass = 0; pass < 4; pass++) {
    // Per pixel p = (x, y, 1), moved to (x', y'): x' - x = d012 . p - x' (d6 x + d7 y), and so for y.
    double pp[3][3] = {}, pu[3][2] = {}, pv[3][2] = {}, qq[2][2] = {}, ru[3] = {}, rv[3] = {}, rq[2] = {}, sum = 0;
    for (int at_y = 0; at_y < height; at_y += step) {
      for (int at_x = 0; at_x < width; at_x += step) {
        const float x = (static_cast<float>(at_x) - centre_x) * unit, y = (static_cast<float>(at_y) - centre_y) * unit;
        const float rest = 1 / std::max(0.2F, static_cast<float>(1 + d[6] * x + d[7] * y));
        const float u = size * ((x + static_cast<float>(d[0] * x + d[1] * y + d[2])) * rest - x);
        const float v = size * ((y + static_cast<float>(d[3] * x + d[4] * y + d[5])) * rest - y);
        float best = 0, to_u = 0, to_v = 0;
        for (int k = 0; k < starts_; k++) {
          const FlowPlanes flow = labels_.flow(k);
          const float own_u = flow.u[at_y * flow.stride + at_x], own_v = flow.v[at_y * flow.stride + at_x];
          const float off = (std::abs(u - own_u) + std::abs(v - own_v)) / (1.5F * tolerance(k, at_x, at_y));
          if (off >= 1) continue;
          const float w = weight(k, at_x, at_y) * (1 - off * off);
          if (w > best) best = w, to_u = own_u * unit, to_v = own_v * unit;
        }
        if (best <= 0) continue;
        sum += best;
        const double p[3] = {x, y, 1}, moved_x = x + to_u, moved_y = y + to_v;
        const double both = moved_x * moved_x + moved_y * moved_y, along = moved_x * to_u + moved_y * to_v;
        for (int i = 0; i < 3; i++) {
          const double w = best * p[i];
          for (int j = i; j < 3; j++) pp[i][j] += w * p[j];
          for (int j = 0; j < 2; j++) pu[i][j] -= w * p[j] * moved_x, pv[i][j] -= w * p[j] * moved_y;
          ru[i] += w * to_u, rv[i] += w * to_v;
        }
        for (int i = 0; i < 2; i++) {
          for (int j = i; j < 2; j++) qq[i][j] += best * p[i] * p[j] * both;
          rq[i] -= best * p[i] * along;
        }
      }
    }
    if (sum < 10) break;
    double a[8][8] = {}, b[8] = {ru[0], ru[1], ru[2], rv[0], rv[1], rv[2], rq[0], rq[1]};
    for (int i = 0; i < 3; i++) {
      for (int j = i; j < 3; j++) a[i][j] = a[i + 3][j + 3] = pp[i][j];
      for (int j = 0; j < 2; j++) a[i][j + 6] = pu[i][j], a[i + 3][j + 6] = pv[i][j];
    }
    a[6][6] = qq[0][0], a[6][7] = qq[0][1], a[7][7] = qq[1][1];
    for (int i = 0; i < 8; i++) {
      for (int j = 0; j < i; j++) a[i][j] = a[j][i];
      a[i][i] += 1e-9 + (i > 5 ? 1e-3 * sum : 0);
    }
    if (!solve(a, b)) break;
    std::copy(b, b + 8, d);
  }
  std::transform(d, d + 8, motion, [](double value) { return static_cast<float>(value); });
}

void MotionFit::draw(const float* d, int label, int row) const {
  const FlowPlanes flow = labels_.flow(label);
  const float size = static_cast<float>(flow.width), unit = 1 / size;
  const float y = (static_cast<float>(row) - 0.5F * static_cast<float>(flow.height)) * unit;
  float *u = flow.u + row * flow.stride, *v = flow.v + row * flow.stride;
  for (int i = 0; i < flow.width; i++) {
    const float x = (static_cast<float>(i) - 0.5F * size) * unit, tilt = d[6] * x + d[7] * y;
    const float rest = size / std::max(0.2F, 1 + tilt);
    // ((x + e) / (1 + tilt) - x) = (e - x tilt) / (1 + tilt), but for the limit of the denominator, which no sane
    // motion reaches. Zero parameters give exact zeros.
    u[i] = (d[0] * x + d[1] * y + d[2] - x * tilt) * rest;
    v[i] = (d[3] * x + d[4] * y + d[5] - y * tilt) * rest;
  }
}

void MotionFit::run(ThreadPool& pool, const LabelKernels& kernels, const LabelPlanes& labels, int starts,
                    const LabelOptions& options, float typical, float* motions, std::ptrdiff_t ld_motions) {
  labels_ = labels, starts_ = starts, options_ = options, rate_ = 1 / (typical + 0.02F);
  find_windows();
  candidates_.resize(windows_.size());
  const int count = static_cast<int>(windows_.size());
  constexpr int per_item = 16;
  const int items = (count + per_item - 1) / per_item;
  const auto for_candidates = [&](const auto& task) {
    pool.run(items, [&](int item, int /*thread*/) {
      for (int i = item * per_item; i < std::min(count, (item + 1) * per_item); i++) task(i);
    });
  };
  for_candidates(
      [&](int i) { fit_window(windows_[static_cast<std::size_t>(i)], candidates_[static_cast<std::size_t>(i)]); });
  const auto samples = static_cast<float>(take_samples());
  const float least = options.share * samples;
  Affine found[most_motions];
  float shares[most_motions] = {};
  int motion_count = 0;
  while (motion_count < options.motions) {
    // The pixels left to explain only become fewer, so a candidate that explains too few is never tried again.
    for_candidates([&](int i) {
      Candidate& candidate = candidates_[static_cast<std::size_t>(i)];
      if (candidate.explained >= least) candidate.explained = kernels.explained(at_, candidate.motion);
    });
    const auto best = std::ranges::max_element(candidates_, {}, &Candidate::explained);
    if (best == candidates_.end() || best->explained < least) break;
    found[motion_count] = best->motion;
    shares[motion_count++] = best->explained / samples;
    kernels.remove_explained(at_, best->motion, samples_.data() + (at_.left - samples_.data()));
  }
  pool.run(motion_count, [&](int i, int /*thread*/) {
    float* motion = motions + i * ld_motions;
    refine(found[i], motion);
    motion[8] = shares[i];
  });
  for (int i = motion_count; i < most_motions; i++) motions[i * ld_motions + 8] = 0;
  pool.run(motion_count * labels.height, [&](int item, int /*thread*/) {
    const int i = item / labels.height;
    draw(motions + i * ld_motions, starts + i, item % labels.height);
  });
}

}  // namespace flow::cpu

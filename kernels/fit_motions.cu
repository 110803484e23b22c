// The motions that most pixels of the starts' flows share, and their flows. A motion d moves (x, y), measured from the
// level's centre in widths of the level, to ((x + d0 x + d1 y + d2, y + d3 x + d4 y + d5) / (1 + d6 x + d7 y)).
//
// fit_windows fits an affine motion to each of some hundred windows, by weighted least squares over 11 x 11 pixels.
// They compete for some 540 samples of the level: rate_motions computes how many of them each candidate explains,
// pick_motion takes the best one, the first of equal ones, and takes from the samples what it explains. refine_motions
// fits all eight parameters to some 1200 pixels, four times, each time to those that the motion before explains.
// draw_motions writes the flows.
//
// One start has some 900 windows, so fit_windows and rate_motions are a few warps for each multiprocessor: 110000
// pixels and, per motion, half a million samples of 20 FLOPs, whose reads (16 bytes, from L1) limit it. The other
// kernels are small; their latency counts, some 10 us for each pass of refine_motions. Its sums are in double
// precision, since the equations of perspective and slope are nearly the same. A GPU that computes doubles slowly has
// 0.5 MFLOP of them for each motion. draw_motions writes 8 bytes per pixel and motion.

#include "fit_motions.h"

#include "labels.cuh"
#include "warp_sums.cuh"

namespace flow::kernels {

// ---- weights --------------------------------------------------------------------------------------------------------

/// Falls from 1 to 0 as the cost rises to 2.4 typical ones; 0 where the pixel leaves the frame.
DEVICE float sample_weight(const LabelsView& labels, int start, LabelMotion motion, int y, int x) {
  const float to_x = static_cast<float>(x) + motion.u, to_y = static_cast<float>(y) + motion.v;
  const bool inside = to_x >= 0 && to_y >= 0 && to_x <= static_cast<float>(labels.width - 1) &&
                      to_y <= static_cast<float>(labels.height - 1);
  if (!inside) return 0;
  const float cost = labels.costs[label_at(labels, start, y, x)] * (1 / (labels.facts[0] + 0.02F));
  const float part = fmaxf(0.F, 1 - cost * cost / 6);
  return part * part;
}

DEVICE float motion_tolerance(const FitMotionsParams& p, LabelMotion motion) {
  return p.tolerance + p.fraction * (fabsf(motion.u) + fabsf(motion.v));
}

/// From the level's centre, in widths of the level.
DEVICE float from_centre(int at, int size, int width) {
  return (static_cast<float>(at) - 0.5F * static_cast<float>(size)) * (1 / static_cast<float>(width));
}

// ---- candidates -----------------------------------------------------------------------------------------------------

struct MotionWindow {
  int start, x, y, radius;
};

/// Windows are in the order of starts, then fine before coarse ones, then row by row.
DEVICE MotionWindow window_of(const FitMotionsParams& p, int index) {
  const auto count = [](int size, int radius) { return ceil_div(size - radius / 2, radius); };
  const int height = p.labels.height, width = p.labels.width, per_start = p.windows / p.labels.starts;
  const int fine = p.fine > 0 ? count(height, p.fine) * count(width, p.fine) : 0;
  const int start = index / per_start, of_start = index % per_start;
  const int radius = of_start < fine ? p.fine : p.coarse, at = of_start < fine ? of_start : of_start - fine;
  const int across = count(width, radius);
  return {start, radius / 2 + at % across * radius, radius / 2 + at / across * radius, radius};
}

KERNEL(fit_windows, FitMotionsParams, fit_motions_threads, 1) {
  const int index = static_cast<int>(blockIdx.x) * fit_motions_warps + warp_id();
  if (index >= p.windows) return;
  const LabelsView& labels = p.labels;
  const MotionWindow window = window_of(p, index);
  const int step = max(1, window.radius / 5), side = 2 * window.radius / step + 1;
  const float unit = 1 / static_cast<float>(labels.width);
  enum { w1, wx, wy, wxx, wxy, wyy, wu, wux, wuy, wv, wvx, wvy };
  float sums[16] = {};
  for (int i = lane_id(); i < side * side; i += warp_size) {
    const int dx = i % side * step - window.radius, dy = i / side * step - window.radius;
    const int at_x = window.x + dx, at_y = window.y + dy;
    if (at_x < 0 || at_y < 0 || at_x >= labels.width || at_y >= labels.height) continue;
    const LabelMotion motion = motion_at(labels, window.start, at_y, at_x);
    const float w = sample_weight(labels, window.start, motion, at_y, at_x);
    const float x = static_cast<float>(dx) * unit, y = static_cast<float>(dy) * unit;
    const float u = motion.u * unit, v = motion.v * unit, x1 = w * x, y1 = w * y;
    sums[w1] += w, sums[wx] += x1, sums[wy] += y1, sums[wxx] += x1 * x, sums[wxy] += x1 * y, sums[wyy] += y1 * y;
    sums[wu] += w * u, sums[wux] += x1 * u, sums[wuy] += y1 * u;
    sums[wv] += w * v, sums[wvx] += x1 * v, sums[wvy] += y1 * v;
  }
  warp_sums(sums);
  if (lane_id() != 0) return;
  MotionCandidate& candidate = p.candidates[index];
  candidate.explained = 0;
  if (sums[w1] < 0.2F * static_cast<float>(side * side)) return;

  // Rows of the normal equations: three unknowns, the right sides of u and v.
  double rows[3][5] = {{sums[w1] + 1e-6, sums[wx], sums[wy], sums[wu], sums[wv]},
                       {sums[wx], sums[wxx] + 1e-6, sums[wxy], sums[wux], sums[wvx]},
                       {sums[wy], sums[wxy], sums[wyy] + 1e-6, sums[wuy], sums[wvy]}};
#pragma unroll
  for (int i = 0; i < 3; i++) {
    if (!(fabs(rows[i][i]) > 1e-14)) return;
#pragma unroll
    for (int r = 0; r < 3; r++) {
      if (r == i) continue;
      const double factor = rows[r][i] / rows[i][i];
#pragma unroll
      for (int c = i + 1; c < 5; c++) rows[r][c] -= factor * rows[i][c];
    }
  }
  const double from_x = (labels.width * 0.5 - window.x) * unit, from_y = (labels.height * 0.5 - window.y) * unit;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const double at = rows[0][3 + i] / rows[0][0], x = rows[1][3 + i] / rows[1][1], y = rows[2][3 + i] / rows[2][2];
    if (!(fabs(x) < 1.2) || !(fabs(y) < 1.2)) return;
    candidate.d[3 * i] = static_cast<float>(x), candidate.d[3 * i + 1] = static_cast<float>(y);
    candidate.d[3 * i + 2] = static_cast<float>(at + x * from_x + y * from_y);
  }
  candidate.explained = static_cast<float>(p.samples);  // as many as it ever could
}

// ---- competition ----------------------------------------------------------------------------------------------------

KERNEL(take_samples, FitMotionsParams, fit_motions_threads, 1) {
  const int index = static_cast<int>(blockIdx.x) * fit_motions_threads + static_cast<int>(threadIdx.x);
  if (index >= p.samples) return;
  const int across = ceil_div(p.labels.width, p.sample_step);
  const int y = index / across * p.sample_step, x = index % across * p.sample_step;
  p.left[index] = 1;
  for (int k = 0; k < p.labels.starts; k++) {
    const LabelMotion motion = motion_at(p.labels, k, y, x);
    p.flows[k * p.samples + index] = {motion.u, motion.v, sample_weight(p.labels, k, motion, y, x),
                                      1 / motion_tolerance(p, motion)};
  }
}

/// How well a motion explains the best fitting start of a sample, 0 to 1.
DEVICE float explains(const FitMotionsParams& p, const MotionCandidate& motion, int sample) {
  const int across = ceil_div(p.labels.width, p.sample_step), width = p.labels.width;
  const float x = from_centre(sample % across * p.sample_step, width, width);
  const float y = from_centre(sample / across * p.sample_step, p.labels.height, width);
  const float size = static_cast<float>(width);
  const float u = size * (motion.d[2] + motion.d[0] * x + motion.d[1] * y);
  const float v = size * (motion.d[5] + motion.d[3] * x + motion.d[4] * y);
  float most = 0;
  for (int k = 0; k < p.labels.starts; k++) {
    const MotionSample flow = p.flows[k * p.samples + sample];
    const float difference = (fabsf(u - flow.u) + fabsf(v - flow.v)) * flow.inverse;
    most = fmaxf(most, flow.weight * (1 - difference * difference));
  }
  return most;
}

KERNEL(rate_motions, FitMotionsParams, fit_motions_threads, 1) {
  const int index = static_cast<int>(blockIdx.x) * fit_motions_warps + warp_id();
  if (index >= p.windows) return;
  const MotionCandidate candidate = p.candidates[index];
  // The pixels left to explain only become fewer, so a candidate that explains too few is never tried again.
  if (candidate.explained < p.least) return;
  float sums[1] = {};
  for (int i = lane_id(); i < p.samples; i += warp_size) sums[0] += p.left[i] * explains(p, candidate, i);
  const float explained = warp_sum_of_lane(sums);
  __syncwarp();  // all lanes have read the candidate
  if (lane_id() == 0) p.candidates[index].explained = explained;
}

/// The better of two candidates, the first of equal ones.
struct BestCandidate {
  float explained;
  int index;

  DEVICE void take(BestCandidate other) {
    const bool better = other.explained > explained || (other.explained == explained && other.index < index);
    if (better) *this = other;
  }
  DEVICE void take_lanes() {
#pragma unroll
    for (int lanes = warp_size / 2; lanes > 0; lanes /= 2) {
      take({__shfl_xor_sync(0xffffffffU, explained, lanes), __shfl_xor_sync(0xffffffffU, index, lanes)});
    }
  }
};

KERNEL(pick_motion, FitMotionsParams, pick_motion_threads, 1) {
  SHARED_MEMORY(BestCandidate, of_warps);
  constexpr int warps = pick_motion_threads / warp_size;
  BestCandidate best{0, 0};
  for (int i = static_cast<int>(threadIdx.x); i < p.windows; i += pick_motion_threads) {
    best.take({p.candidates[i].explained, i});
  }
  best.take_lanes();
  if (lane_id() == 0) of_warps[warp_id()] = best;
  __syncthreads();
  best = of_warps[lane_id() % warps];
  best.take_lanes();
  if (best.explained < p.least || p.windows == 0) return;
  const MotionCandidate motion = p.candidates[best.index];
  for (int i = static_cast<int>(threadIdx.x); i < p.samples; i += pick_motion_threads) {
    p.left[i] *= 1 - fminf(1.5F * explains(p, motion, i), 1.F);
  }
  if (threadIdx.x != 0) return;
  float* out = label_motion(p.labels, p.motion);
#pragma unroll
  for (int i = 0; i < 6; i++) out[i] = motion.d[i];
  out[label_motion_cols - 1] = best.explained / static_cast<float>(p.samples);
}

// ---- perspective ----------------------------------------------------------------------------------------------------

// Per pixel q = (x, y, 1), moved to (x', y'): x' - x = d012 . q - x' (d6 x + d7 y), and the same for y. The difference
// from a motion of zero is solved for, so that a flow of exact zeros gives exact zeros. Of the symmetric equations
// these sums are not 0: of q q^T, -q q^T x', -q q^T y' the upper triangles without (1, 1) in the latter; of q q^T (x'^2
// + y'^2) that of x and y; then the right sides of d012, d345 and d67, and the weight.
enum { qq_sums = 0, qu_sums = 6, qv_sums = 12, pp_sums = 18, right_sums = 21, weight_sum = 29 };

/// Which sum is in a row and a column of the equations, the ninth column being the right side; -1 if it is 0.
DEVICE int sum_in(int row, int column) {
  if (column == 8) return right_sums + row;
  const int first = min(row, column), second = max(row, column);
  if (first >= 6) return pp_sums + first + second - 12;
  const int i = first % 3;
  if (second >= 6) return (first < 3 ? qu_sums : qv_sums) + 2 * i + second - 6;
  if (first / 3 != second / 3) return -1;
  const int j = second % 3;
  return qq_sums + i * 3 + j - i * (i + 1) / 2;
}

/// Adds a pixel that the motion d explains, by the start that it fits best.
DEVICE void add_pixel(const FitMotionsParams& p, const double (&d)[8], int at_y, int at_x,
                      double (&sums)[refine_motions_sums]) {
  const LabelsView& labels = p.labels;
  const float size = static_cast<float>(labels.width), unit = 1 / size;
  const float x = from_centre(at_x, labels.width, labels.width), y = from_centre(at_y, labels.height, labels.width);
  const float rest = 1 / fmaxf(0.2F, static_cast<float>(1 + d[6] * x + d[7] * y));
  const float u = size * ((x + static_cast<float>(d[0] * x + d[1] * y + d[2])) * rest - x);
  const float v = size * ((y + static_cast<float>(d[3] * x + d[4] * y + d[5])) * rest - y);
  float best = 0, to_u = 0, to_v = 0;
  for (int k = 0; k < labels.starts; k++) {
    const LabelMotion motion = motion_at(labels, k, at_y, at_x);
    const float off = (fabsf(u - motion.u) + fabsf(v - motion.v)) / (1.5F * motion_tolerance(p, motion));
    if (off >= 1) continue;
    const float w = sample_weight(labels, k, motion, at_y, at_x) * (1 - off * off);
    if (w > best) best = w, to_u = motion.u * unit, to_v = motion.v * unit;
  }
  if (best <= 0) return;
  const double q[3] = {x, y, 1}, moved_x = x + to_u, moved_y = y + to_v;
  const double square = moved_x * moved_x + moved_y * moved_y, along = moved_x * to_u + moved_y * to_v;
#pragma unroll
  for (int i = 0; i < 3; i++) {
    const double w = best * q[i];
#pragma unroll
    for (int j = i; j < 3; j++) sums[qq_sums + i * 3 + j - i * (i + 1) / 2] += w * q[j];
#pragma unroll
    for (int j = 0; j < 2; j++) {
      sums[qu_sums + 2 * i + j] -= w * q[j] * moved_x, sums[qv_sums + 2 * i + j] -= w * q[j] * moved_y;
    }
    sums[right_sums + i] += w * to_u, sums[right_sums + 3 + i] += w * to_v;
  }
#pragma unroll
  for (int i = 0; i < 2; i++) {
#pragma unroll
    for (int j = i; j < 2; j++) sums[pp_sums + i + j] += best * q[i] * q[j] * square;
    sums[right_sums + 6 + i] -= best * q[i] * along;
  }
  sums[weight_sum] += best;
}

/// Solves the equations that the sums make, by one warp whose first eight lanes have a row each. False if they are
/// singular or few pixels are explained.
DEVICE bool solve_motion(const double* sums, double& solution) {
  const double weight = sums[weight_sum];
  if (weight < 10) return false;
  const int own = lane_id() % 8;
  double row[9], diagonal = 1;
#pragma unroll
  for (int c = 0; c < 9; c++) {
    const int sum = sum_in(own, c);
    row[c] = sum < 0 ? 0 : sums[sum];
    if (c == own) row[c] += 1e-9 + (own > 5 ? 1e-3 * weight : 0);
  }
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const double pivot = __shfl_sync(0xffffffffU, row[i], i);
    if (!(fabs(pivot) > 1e-14)) return false;
    const double factor = own == i ? 0 : row[i] / pivot;
    if (own == i) diagonal = pivot;
#pragma unroll
    for (int c = i + 1; c < 9; c++) row[c] -= factor * __shfl_sync(0xffffffffU, row[c], i);
  }
  solution = row[8] / diagonal;
  return true;
}

KERNEL(refine_motions, FitMotionsParams, fit_motions_threads, 1) {
  SHARED_MEMORY(double, shared);
  double* const all = shared + fit_motions_warps * refine_motions_sums;
  double* const solution = all + refine_motions_sums;  // eight parameters, and 1 if they are new
  float* motion = label_motion(p.labels, static_cast<int>(blockIdx.x));
  if (!(motion[label_motion_cols - 1] > 0)) return;
  double d[8] = {};
#pragma unroll
  for (int i = 0; i < 6; i++) d[i] = motion[i];
  const int across = ceil_div(p.labels.width, p.refine_step);
  const int count = ceil_div(p.labels.height, p.refine_step) * across;
#pragma unroll 1
  for (int pass = 0; pass < 4; pass++) {
    double sums[refine_motions_sums] = {};
    for (int i = static_cast<int>(threadIdx.x); i < count; i += fit_motions_threads) {
      add_pixel(p, d, i / across * p.refine_step, i % across * p.refine_step, sums);
    }
    shared[warp_id() * refine_motions_sums + lane_id()] = warp_sum_of_lane(sums);
    __syncthreads();
    if (warp_id() == 0) {
      double sum = 0;
      for (int warp = 0; warp < fit_motions_warps; warp++) sum += shared[warp * refine_motions_sums + lane_id()];
      all[lane_id()] = sum;
      __syncwarp();
      double parameter = 0;
      const bool solved = solve_motion(all, parameter);
      if (lane_id() < 8) solution[lane_id()] = parameter;
      if (lane_id() == 0) solution[8] = solved ? 1 : 0;
    }
    __syncthreads();
    if (solution[8] == 0) break;
#pragma unroll
    for (int i = 0; i < 8; i++) d[i] = solution[i];
  }
  if (threadIdx.x != 0) return;
#pragma unroll
  for (int i = 0; i < 8; i++) motion[i] = static_cast<float>(d[i]);
}

KERNEL(draw_motions, FitMotionsParams, 256, 1) {
  const LabelsView& labels = p.labels;
  const int at_x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int at_y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const float* d = label_motion(labels, static_cast<int>(blockIdx.z));
  if (at_x >= labels.width || at_y >= labels.height || !(d[label_motion_cols - 1] > 0)) return;
  const float x = from_centre(at_x, labels.width, labels.width), y = from_centre(at_y, labels.height, labels.width);
  const float tilt = d[6] * x + d[7] * y, rest = static_cast<float>(labels.width) / fmaxf(0.2F, 1 + tilt);
  // (x + e) / (1 + tilt) - x = (e - x tilt) / (1 + tilt), so zero parameters give exact zeros.
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(labels.height) * labels.ld_flow;
  float* flow = labels.flows + 2 * (labels.starts + static_cast<int>(blockIdx.z)) * plane +
                static_cast<std::ptrdiff_t>(at_y) * labels.ld_flow + at_x;
  flow[0] = (d[0] * x + d[1] * y + d[2] - x * tilt) * rest;
  flow[plane] = (d[3] * x + d[4] * y + d[5] - y * tilt) * rest;
}

}  // namespace flow::kernels

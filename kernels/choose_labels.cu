// Chooses a label for each pixel: the one with the least sum of its cost and the messages from all four sides, the
// first of equal ones (Hirschmueller, IEEE TPAMI 2008, with one path per side). A message says what it costs to come
// from that side: M(j) = min over k of c(k) + M'(k) + step(k, j), less its minimum over j, with M' the message at the
// pixel before, c(k) + M'(k) that pixel's state, and
//
//   step(k, j) = unit min(most, |flow_k - flow_j|_1 scale_k scale_j); 0 for a motion j = k
//
// unit is the smoothness times that of the edge between both pixels: least + (1 - least) exp(-|difference of R, G, B| /
// edge).
//
// A warp has one line, the lower 16 lanes forwards and the upper 16 backwards, in step. A lane has one label; it takes
// the states of the others by shuffles, each of which serves both directions. Both halves meet in the middle: until
// there, they add their messages to `sums`, beyond it they find there what the other half has left. So the sums take no
// memory of their own for each direction. The second kernel has all messages of a pixel beyond the middle, and chooses
// there.
//
// A step depends on the one before: up to 10 shuffles and minima for the states, 4 for the least message, some 200
// cycles. The steps between labels and the reads of the next pixel do not depend on it and overlap. 480 x 270 is 750
// warps of up to 480 steps, so latency limits both kernels. The reads are 20 bytes per label and pixel, 26 MB for each
// kernel, in L2.

#include "choose_labels.h"

#include "image.cuh"
#include "labels.cuh"

namespace flow::kernels {

constexpr float no_label = 1e9F;  // costs more than any message

/// One line of pixels in one direction, by 16 lanes.
template <bool rows>
class LabelLine {
 public:
  static constexpr int lanes = warp_size / 2;
  static_assert(most_labels <= lanes);
  static constexpr unsigned all_lanes = 0xffffffffU;  // exchanges stay within a half

  DEVICE LabelLine(const ChooseLabelsParams& params, int line)
      : p_(params),
        line_(line),
        size_(rows ? params.labels.width : params.labels.height),
        backwards_(lane_id() >= lanes),
        label_(lane_id() % lanes),
        count_(label_count(params.labels)),
        smoothness_(params.smoothness * (1 - params.labels.facts[0])) {}

  DEVICE void run() {
    const int first_half = (size_ + 1) / 2;  // the pixel in the middle belongs to the half that goes forwards
    const int meet = backwards_ ? size_ - first_half : first_half;
    next_ = read(0);
    for (int step = 0; step < size_; step++) {
      const float message = advance(step);
      if (step < meet) add(step, rows ? 0 : sum(step), message);  // along rows, it is the first
      if (step + 1 == first_half) __syncwarp();                   // what one half wrote, the other reads
      if (rows) {
        if (step >= meet) add(step, sum(step), message);
      } else if (step >= size_ / 2) {
        choose(step, step >= meet);
      }
    }
  }

 private:
  /// A label at a pixel, and the edge between that pixel and the one before.
  struct Pixel {
    float u, v, scale, cost, weight;
  };

  DEVICE int along(int step) const { return backwards_ ? size_ - 1 - step : step; }
  DEVICE int y_of(int step) const { return rows ? line_ : along(step); }
  DEVICE int x_of(int step) const { return rows ? along(step) : line_; }
  DEVICE std::ptrdiff_t place(int step) const { return label_at(p_.labels, label_, y_of(step), x_of(step)); }
  DEVICE float sum(int step) const { return label_ < count_ ? p_.labels.sums[place(step)] : 0; }
  DEVICE void add(int step, float sum, float message) const {
    if (label_ < count_) p_.labels.sums[place(step)] = sum + message;
  }

  DEVICE Pixel read(int step) const {
    float difference = 0;
#pragma unroll
    for (int channel = 0; channel < 3; channel++) {
      const float* pixel = pixel_of(p_.image, channel, y_of(step), x_of(step));
      const int before = (rows ? 1 : p_.image.stride) * (backwards_ ? 1 : -1);
      difference += fabsf(pixel[0] - pixel[before]);
    }
    const float weight = p_.least + (1 - p_.least) * expf(-difference / p_.edge);
    if (label_ >= count_) return {0, 0, 0, no_label, weight};
    const LabelMotion motion = motion_at(p_.labels, label_, y_of(step), x_of(step));
    const std::ptrdiff_t at = place(step);
    return {motion.u, motion.v, p_.labels.scales[at], p_.labels.costs[at], weight};
  }

  /// Moves on to the pixel of a step. Returns its message from the pixel before, of this lane's label.
  DEVICE float advance(int step) {
    const Pixel before = now_;
    now_ = next_;
    if (step + 1 < size_) next_ = read(step + 1);
    float message = 0;
    if (step > 0) {
      const float unit = smoothness_ * now_.weight, cut = unit * p_.most, scale = unit * now_.scale;
      message = no_label;
      for (int k = 0; k < count_; k++) {
        const float u = __shfl_sync(all_lanes, before.u, k, lanes), v = __shfl_sync(all_lanes, before.v, k, lanes);
        const float other = __shfl_sync(all_lanes, before.scale, k, lanes),
                    state = __shfl_sync(all_lanes, state_, k, lanes);
        const float difference = fabsf(u - now_.u) + fabsf(v - now_.v);
        message = fminf(message, state + fminf(difference * (scale * other), cut));
      }
      if (label_ >= p_.labels.starts) message = fminf(message, state_);
      if (label_ >= count_) message = no_label;
      float lowest = message;
#pragma unroll
      for (int distance = lanes / 2; distance > 0; distance /= 2) {
        lowest = fminf(lowest, __shfl_xor_sync(all_lanes, lowest, distance, lanes));
      }
      message -= lowest;
    }
    state_ = now_.cost + message;
    return message;
  }

  /// All lanes take part; a half writes only pixels for which it has all messages.
  DEVICE void choose(int step, bool writes) const {
    float least = label_ < count_ ? state_ + sum(step) : no_label;
    int best = label_;
#pragma unroll
    for (int distance = lanes / 2; distance > 0; distance /= 2) {
      const float other_least = __shfl_xor_sync(all_lanes, least, distance, lanes);
      const int other = __shfl_xor_sync(all_lanes, best, distance, lanes);
      if (other_least < least || (other_least == least && other < best)) least = other_least, best = other;
    }
    if (!writes || label_ != 0) return;
    p_.chosen[static_cast<std::ptrdiff_t>(y_of(step)) * p_.ld_chosen + x_of(step)] = static_cast<float>(best);
  }

  const ChooseLabelsParams& p_;
  int line_, size_;
  bool backwards_;
  int label_, count_;
  float smoothness_;
  Pixel now_{}, next_{};
  float state_ = 0;  // cost and message of the pixel now
};

template <bool rows>
DEVICE void pass_along(const ChooseLabelsParams& p) {
  const int line = static_cast<int>(blockIdx.x) * choose_labels_lines + warp_id();
  if (line < (rows ? p.labels.height : p.labels.width)) LabelLine<rows>(p, line).run();
}

KERNEL(pass_along_rows, ChooseLabelsParams, choose_labels_threads, 1) { pass_along<true>(p); }

KERNEL(pass_along_columns, ChooseLabelsParams, choose_labels_threads, 1) { pass_along<false>(p); }

}  // namespace flow::kernels

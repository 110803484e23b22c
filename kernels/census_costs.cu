// How unlike the frames are where a label leads, 0 to 1: a soft census. With A the luma of frame 1 times the exposure's
// gain and W that of frame 2 where the label leads, both by a quadratic spline and divided by `contrast`: the mean over
// 12 neighbours d, which point down or to the right, of |t(W(p + d) - W(p)) - t(A(p + d) - A(p))|, t clipping to -1..1;
// then the mean over a window of 6 x 5 pixels p, whose outer columns count half. The label's flow is enlarged
// bilinearly.
//
// A block computes 32 x 16 pixels of a label from 72 x 37 pixels of the images, in three passes: both images into
// shared memory, comparisons, means. A pixel of the label is four of the images, 1.3 with the margins: some 5 x 80
// FLOPs for the splines, 5 x 100 for the comparisons, 60 for the means, and 250 accesses of shared memory, which limit
// it. Ten labels of 480 x 270 are 0.9 GFLOP and 1.3 GB of shared memory; from L2 come 12 MB of images and 10 MB of
// flow.

#include "census_costs.h"

#include "image.cuh"
#include "labels.cuh"

namespace flow::kernels {

constexpr int census_luma = 3;

class CensusTile {
 public:
  DEVICE CensusTile(const CensusCostsParams& params, float* memory)
      : p_(params),
        from_(memory),
        to_(from_ + census_rows * census_cols),
        differences_(to_ + census_rows * census_cols),
        label_(params.first + static_cast<int>(blockIdx.z)),
        first_x_(static_cast<int>(blockIdx.x) * census_tile_width),
        first_y_(static_cast<int>(blockIdx.y) * census_tile_height) {}

  DEVICE void run() const {
    const float luma = 0.299F * p_.exposure[0] + 0.587F * p_.exposure[1] + 0.114F * p_.exposure[2];
    const float gain = luma / p_.contrast, unit = 1 / p_.contrast;
    for (int i = static_cast<int>(threadIdx.x); i < census_rows * census_cols; i += census_threads) {
      const int y = nearest_inside(2 * first_y_ - census_above + i / census_cols, p_.from.height);
      const int x = nearest_inside(2 * first_x_ - census_left + i % census_cols, p_.from.width);
      from_[i] = gain * smoothed(p_.from, {y, x, 0.5F, 0.5F});
      to_[i] = unit * warped(y, x);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < (census_rows - 2) * census_cols; i += census_threads) {
      const int x = i % census_cols;
      if (x >= 2 && x < census_cols - 2) differences_[i] = difference(i);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < census_tile_height * census_tile_width; i += census_threads) {
      const int row = i / census_tile_width, column = i % census_tile_width, y = first_y_ + row, x = first_x_ + column;
      if (y < p_.labels.height && x < p_.labels.width) {
        p_.labels.costs[label_at(p_.labels, label_, y, x)] = mean(row, column);
      }
    }
  }

 private:
  /// Frame 2 where the label leads pixel (y, x) of frame 1.
  DEVICE float warped(int y, int x) const {
    const LabelsView& labels = p_.labels;
    const float quarter = 0.5F * (static_cast<float>(y) - 0.5F);
    const float at = fminf(fmaxf(quarter, 0.F), static_cast<float>(labels.height - 1));
    const int upper = static_cast<int>(at), lower = min(upper + 1, labels.height - 1);
    const float part = at - static_cast<float>(upper);
    const auto column = [&](int column_x) {
      column_x = nearest_inside(column_x, labels.width);
      const LabelMotion a = motion_at(labels, label_, upper, column_x), b = motion_at(labels, label_, lower, column_x);
      return LabelMotion{2 * (a.u + part * (b.u - a.u)), 2 * (a.v + part * (b.v - a.v))};
    };
    const LabelMotion near = column(x / 2), next = column(x % 2 == 0 ? x / 2 - 1 : x / 2 + 1);
    const float u = 0.75F * near.u + 0.25F * next.u, v = 0.75F * near.v + 0.25F * next.v;
    return smoothed(p_.to, position_in(p_.to, static_cast<float>(y) + v + 0.5F, static_cast<float>(x) + u + 0.5F, 1));
  }

  /// A quadratic spline over three pixels: their weights, `part` of the middle one's width behind its left edge.
  struct Spline {
    float before, middle, after;
  };
  DEVICE static Spline spline(float part) {
    const float before = 0.5F * (1 - part) * (1 - part), after = 0.5F * part * part;
    return {before, 1 - before - after, after};
  }

  /// An image's luma around the pixel of `at`, whose parts are from the pixel's upper left corner.
  DEVICE static float smoothed(const ImageView& image, const ImagePosition& at) {
    const Spline across = spline(at.part_x), down = spline(at.part_y);
    const auto row = [&](int step) {
      const float* pixel = pixel_of(image, census_luma, at.y + step, at.x);
      return across.before * pixel[-1] + across.middle * pixel[0] + across.after * pixel[1];
    };
    return down.before * row(-1) + down.middle * row(0) + down.after * row(1);
  }

  /// Between the neighbours of element i and itself, in both frames.
  DEVICE float difference(int i) const {
    const auto clip = [](float step) { return fmaxf(fminf(step, 1.F), -1.F); };
    const float from = from_[i], to = to_[i];
    float sum = 0;
    const auto add = [&](int step) { sum += fabsf(clip(to_[i + step] - to) - clip(from_[i + step] - from)); };
    add(1), add(2);
#pragma unroll
    for (int step = -2; step <= 2; step++) add(census_cols + step), add(2 * census_cols + step);
    return fminf(sum * (1 / 12.F), 1.F);
  }

  DEVICE float mean(int row, int column) const {
    const float* window = differences_ + 2 * row * census_cols + 2 * column + census_left - 2;
    float sums[6] = {};
#pragma unroll
    for (int y = 0; y < 5; y++) {
#pragma unroll
      for (int x = 0; x < 6; x++) sums[x] += window[y * census_cols + x];
    }
    return 0.02F * (sums[0] + sums[5]) + 0.04F * (sums[1] + sums[2] + sums[3] + sums[4]);
  }

  const CensusCostsParams& p_;
  float *from_, *to_, *differences_;  // census_rows x census_cols
  int label_, first_x_, first_y_;     // of the tile's first pixel
};

KERNEL(census_costs, CensusCostsParams, census_threads, 2) {
  SHARED_MEMORY(float, memory);
  if (p.first + static_cast<int>(blockIdx.z) >= label_count(p.labels)) return;
  CensusTile(p, memory).run();
}

}  // namespace flow::kernels

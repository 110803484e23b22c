#pragma once

#include <cstddef>

#include "cpu/refine_kernels.h"
#include "ops/label_stages.h"

// The part of the choice between motions in the boundary between the portable CPU engine and the files of isa/; see
// cpu/kernels.h.

namespace flow::cpu {

/// The labels as pointers. Label k's planes are k planes behind the first label's.
struct LabelPlanes {
  int height;
  int width;
  int starts;
  int count;
  float* flows;
  std::ptrdiff_t stride;
  float *costs, *scales, *sums;
  std::ptrdiff_t ld;  // of these three

  std::ptrdiff_t plane() const { return height * ld; }
  FlowPlanes flow(int label) const {
    float* u = flows + 2 * label * height * stride;
    return {u, u + height * stride, stride, height, width};
  }
  float* cost(int label) const { return costs + label * plane(); }
  float* scale(int label) const { return scales + label * plane(); }
  float* sum(int label) const { return sums + label * plane(); }
};

/// One item is a tile; it computes all labels from `first` on.
constexpr int census_tile_height = 16, census_tile_width = 64;
struct CensusJob {
  Plane from, to;  // luma, of twice the labels' size
  int height;      // of these
  int width;
  float gain;
  LabelPlanes labels;
  int first;
  float contrast;
  int across;  // tiles
  int down;
};

/// Messages along rows: one item is `lanes` rows, the vector's. Along columns: message_columns of them.
constexpr int message_columns = 32;
struct MessageJob {
  Plane planes[3];  // R, G, B of the labels' level
  LabelPlanes labels;
  LabelOptions options;
  float* chosen;
  std::ptrdiff_t ld_chosen;
};

/// A motion's affine part, as `motion_cols` tells.
struct Affine {
  float d[6];
};

/// Pixels that motions compete for. Arrays of `count` padded to a multiple of sample_lanes with pixels of no weight.
constexpr int sample_lanes = 16;
struct MotionSamples {
  int count;
  int starts;
  float width;
  const float *x, *y;  // from the centre, in widths
  const float* left;   // what no motion explains yet, 0 to 1
  const float *u[most_starts], *v[most_starts];
  const float *weight[most_starts], *inverse[most_starts];  // 1 / tolerance
};

struct LabelKernels {
  std::size_t (*census_scratch)();  // floats
  void (*census)(const CensusJob&, int item, float* scratch);
  std::size_t (*message_scratch)(const MessageJob&);
  void (*messages_along_rows)(const MessageJob&, int item, float* scratch);
  void (*messages_along_columns)(const MessageJob&, int item);
  float (*explained)(const MotionSamples&, const Affine&);  // sum over the samples
  void (*remove_explained)(const MotionSamples&, const Affine&, float* left);
};

}  // namespace flow::cpu

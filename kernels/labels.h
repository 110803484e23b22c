#pragma once

// The labels of a level as kernels take them; see Labels (native/ops/label_stages.h).

namespace flow::kernels {

constexpr int most_label_starts = 4;
constexpr int most_label_motions = 6;
constexpr int most_labels = most_label_starts + most_label_motions;

/// Columns of a motion: its eight parameters and its share.
constexpr int label_motion_cols = 9;

/// Label k's planes are k planes behind those of the first.
struct LabelsView {
  int height, width;
  int starts;
  int ld_flow, ld, ld_motions;
  float* flows;                  // per label 2 * height rows, ld_flow apart
  float *costs, *scales, *sums;  // per label height rows, ld apart
  float* motions;                // most_label_motions rows, ld_motions apart
  float* facts;                  // the typical cost and that outside
};

}  // namespace flow::kernels

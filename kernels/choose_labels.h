#pragma once

#include "image.h"
#include "labels.h"

// Parameters of choose_labels.cu: pass_along_rows, then pass_along_columns. A warp has one line, in both directions:
// the grids are ceil(height / choose_labels_lines) and ceil(width / choose_labels_lines).

namespace flow::kernels {

/// Lines of a block. Eight columns share the 32 bytes that a read takes from L2.
constexpr int choose_labels_lines = 8;
constexpr int choose_labels_threads = 32 * choose_labels_lines;

struct ChooseLabelsParams {
  ImageView image;  // of the labels' size; R, G and B are planes 0 to 2
  LabelsView labels;
  float* chosen;  // height x width, rows ld_chosen apart
  int ld_chosen;
  float smoothness;  // times 1 - typical cost
  float most, edge, least;
};

}  // namespace flow::kernels

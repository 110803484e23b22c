#pragma once

#include "image.h"
#include "labels.h"

// Parameters of census_costs.cu. A block computes a tile of one label: the grid is (ceil(width / census_tile_width),
// ceil(height / census_tile_height), labels).

namespace flow::kernels {

/// Pixels of the labels; a multiple of 32 wide.
constexpr int census_tile_height = 16, census_tile_width = 32;
constexpr int census_threads = 256;

/// Pixels of the images, which have twice the resolution. A label's pixel needs the comparisons of columns 2x - 2 to
/// 2x + 3 and rows 2y - 2 to 2y + 2, and a comparison the two pixels to its left and right and the two below.
constexpr int census_left = 4, census_above = 2, census_below = 3;
constexpr int census_cols = 2 * census_tile_width + 2 * census_left;
constexpr int census_rows = 2 * census_tile_height + census_above + census_below;
/// Both frames and the comparisons.
constexpr int census_shared_bytes = 3 * census_rows * census_cols * static_cast<int>(sizeof(float));

struct CensusCostsParams {
  ImageView from, to;  // of twice the labels' size; luma is plane 3
  LabelsView labels;
  const float* exposure;  // the gains of R, G and B come first
  int first;              // label
  float contrast;
};

}  // namespace flow::kernels

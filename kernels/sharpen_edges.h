#pragma once

#include "image.h"

// Parameters of sharpen_edges.cu. A block has 32 x 8 threads, one pixel each; the grid is (ceil(width / 32),
// ceil(height / 8)).

namespace flow::kernels {

/// The window of a pixel: its rows and columns -3 to 3, two pixels apart.
constexpr int sharpen_radius = 3, sharpen_step = 2, sharpen_reach = sharpen_radius * sharpen_step;
constexpr int sharpen_halvings = 16;
constexpr int sharpen_tile_height = 8, sharpen_tile_width = 32;
constexpr int sharpen_threads = sharpen_tile_height * sharpen_tile_width;

/// The pixels of a block and those around that are in their windows.
constexpr int sharpen_area_width = sharpen_tile_width + 2 * sharpen_reach;
constexpr int sharpen_area = (sharpen_tile_height + 2 * sharpen_reach) * sharpen_area_width;
constexpr int sharpen_values = 7;  // of each pixel of the area
constexpr int sharpen_shared_bytes = sharpen_values * sharpen_area * static_cast<int>(sizeof(float));

struct SharpenEdgesParams {
  ImageView image, half;  // levels 0 and 1
  const float* flow;      // 2 planes of height x width, rows ld_flow apart
  const float* sure;      // of level 1, rows ld_sure apart
  float* out;             // as flow, rows ld_out apart
  int ld_flow, ld_sure, ld_out;
  float step, share;  // of SharpenOptions
  float color, distance, least;
};

}  // namespace flow::kernels

#pragma once

#include "image.h"

// Parameters of measure_flow.cu. A block has 32 x 8 threads, one pixel each; the grid is (ceil(width / 32),
// ceil(height / 8)) for the images' size.

namespace flow::kernels {

constexpr int measure_count = 8;
constexpr int measure_radius = 2;
constexpr int measure_tile_height = 8, measure_tile_width = 32;
constexpr int measure_threads = measure_tile_height * measure_tile_width;

/// The pixels of a block and those around that are in their windows.
constexpr int measure_area_width = measure_tile_width + 2 * measure_radius;
constexpr int measure_area = (measure_tile_height + 2 * measure_radius) * measure_area_width;
constexpr int measure_values = 14;  // of each pixel of the area
constexpr int measure_shared_bytes = measure_values * measure_area * static_cast<int>(sizeof(float));

/// A flow of twice the images' size: 2 planes of rows ld apart, v behind u.
struct MeasuredFlow {
  const float *u, *v;
  int ld;
};

struct MeasureFlowParams {
  ImageView from, to;       // level 1: R, G, B and luma
  const float* exposure;    // gain of channel c at c, offset at 4 + c
  const float* sure;        // height x width, rows ld_sure apart
  MeasuredFlow flow, back;  // back.u is null where there is none
  float* measures;          // measure_count planes of height x width, rows ld_measures apart
  int ld_sure, ld_measures;
};

}  // namespace flow::kernels

#pragma once

#include "cpu/refine_kernels.h"

// How certain a refined flow is: RefineStages::measure_flow and rate_flow.

namespace flow::cpu {

/// One item is measure_band rows.
constexpr int measure_band = 16;
struct MeasureJob {
  Plane from[3], to[3], luma;
  int height;
  int width;
  const float* exposure;
  const float* sure;
  std::ptrdiff_t ld_sure;
  FlowPlanes flow, back;  // back.u is null without a backward flow
  float* measures;
  std::ptrdiff_t ld_measures;
};

std::size_t measure_scratch(const MeasureJob& job);  // floats
void measure_rows(const MeasureJob& job, int item, float* scratch);

/// Row `row` of `rated`.
void rate_row(RealMatrix measures, const ConfidenceWeights& weights, RealMatrix rated, int row);
/// Row `row` of `out`: pixel x lies at (x + 1/2) * scale - 1/2 of `in`. `scratch` holds a row of `in`.
void resize_row(RealMatrix in, float scale_down, float scale_across, RealMatrix out, int row, float* scratch);

}  // namespace flow::cpu

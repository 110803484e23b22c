#pragma once

#include "image.h"

// Parameters of fill_flow.cu: fill_flow_start, then per pass fill_flow_rows and fill_flow_columns, then fill_flow_end.
// A thread of the first and the last computes one pixel: the block is 32 x 8, the grid (ceil(width / 32),
// ceil(height / 8)). Those between solve fill_flow_lines rows or columns per block of fill_flow_threads: the grid is
// ceil(height / fill_flow_lines) or ceil(width / fill_flow_lines).

namespace flow::kernels {

constexpr int fill_flow_lines = 32;
constexpr int fill_flow_steps = 32;  // of a line that are in shared memory at a time
constexpr int fill_flow_threads = 256;
/// Planes that a solve reads and writes: c u, c v, c, and the neighbours' weights, then factors.
constexpr int fill_flow_planes = 4;
/// Each step's values of all lines, and one more, so that neither the steps of a line nor the lines of a step share a
/// bank.
constexpr int fill_flow_shared_bytes =
    fill_flow_planes * fill_flow_steps * (fill_flow_lines + 1) * static_cast<int>(sizeof(float));

struct FillFlowParams {
  ImageView image;    // R, G and B are planes 0 to 2; its size is the flow's
  float* flow;        // 2 planes of height x width, rows ld_flow apart
  const float* sure;  // height x width, rows ld_sure apart: c
  float* sums;        // 3 planes of height x width, rows ld apart: c u, c v, c, smoothed in place
  float* right;       // height x width, rows ld apart: w between a pixel and the one to its right
  float* down;        // the one below
  float* factors;     // height x width, rows ld apart: scratch of a solve
  int ld_flow, ld_sure, ld;
  float edge, keep;
  float lambda;  // of the pass
};

}  // namespace flow::kernels

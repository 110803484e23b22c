#pragma once

// Parameters of find_covered.cu: find_covered_claim, then find_covered_cut. A block has 32 x 8 threads, one pixel each;
// the grid is (ceil(width / 32), ceil(height / 8)).

namespace flow::kernels {

struct FindCoveredParams {
  const float* flow;  // 2 planes of height x width, rows ld_flow apart
  float* sure;        // height x width, not negative, rows ld_sure apart
  int* best;          // height x width, rows ld_best apart, zero before
  int height, width;
  int ld_flow, ld_sure, ld_best;
};

}  // namespace flow::kernels

#pragma once

// Parameters of double_flow.cu. A block has 32 x 8 threads, one value each; the grid is (ceil(to_width / 32),
// ceil(to_height / 8), 2 planes).

namespace flow::kernels {

struct DoubleFlowParams {
  const float* in;  // 2 planes of height x width, rows ldi apart
  float* out;       // 2 planes of to_height x to_width, rows ldo apart
  int height, width;
  int to_height, to_width;  // twice as large, or one more
  int ldi, ldo;
};

}  // namespace flow::kernels

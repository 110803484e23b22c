#pragma once

// Parameters of predict_flow.cu: predict_flow_TYPE, TYPE f32, f16 or bf16 of `in`. One warp per pixel,
// predict_flow_rows pixels per block.

namespace flow::kernels {

constexpr int predict_flow_rows = 4;
constexpr int predict_flow_threads = 32 * predict_flow_rows;

struct PredictFlowParams {
  const void* in;       // T: rows x cols, rows ldi apart
  const float* weight;  // 2 x ldw, zero beyond cols
  const float* bias;    // 2
  const float* base;    // rows x 2, rows ld_base apart, or null; may be the same memory as `flow`
  float* flow;          // rows x 2, rows ld_flow apart
  int rows, cols, ldi, ldw, ld_base, ld_flow;
  unsigned* excess;  // see layouts.h; infinite if a flow is not finite
};

}  // namespace flow::kernels

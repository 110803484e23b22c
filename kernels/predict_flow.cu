// The last layer of a flow head: flow (rows x 2) = in W^T + bias + base, two dot products a pixel.
//
// 4 FLOPs for every element read, so memory limits it: 1600 pixels of 320 float16 channels are 1 MB. A warp takes a
// pixel; a lane takes every 32nd group of eight channels. The weights, 2.5 KB, stay in L1.

#include "predict_flow.h"

#include "number.cuh"

namespace flow::kernels {

template <class T>
DEVICE void predict_flow(const PredictFlowParams& p) {
  const int row = static_cast<int>(blockIdx.x) * predict_flow_rows + warp_id();
  if (row >= p.rows) return;

  const T* in = static_cast<const T*>(p.in) + static_cast<std::ptrdiff_t>(row) * p.ldi;
  float x = 0, y = 0;
  for (int c = 8 * lane_id(); c < p.cols; c += 8 * warp_size) {
    float values[8], weight_x[8], weight_y[8];
    load8(in + c, values);
    load8(p.weight + c, weight_x);
    load8(p.weight + p.ldw + c, weight_y);
    for (int i = 0; i < 8; i++) x += values[i] * weight_x[i], y += values[i] * weight_y[i];
  }
  for (int step = warp_size / 2; step > 0; step /= 2) {
    x += __shfl_xor_sync(0xffffffff, x, step);
    y += __shfl_xor_sync(0xffffffff, y, step);
  }
  if (lane_id() != 0) return;
  x += p.bias[0], y += p.bias[1];
  if (p.base) {
    const float* base = p.base + static_cast<std::ptrdiff_t>(row) * p.ld_base;
    x += base[0], y += base[1];
  }
  float* flow = p.flow + static_cast<std::ptrdiff_t>(row) * p.ld_flow;
  flow[0] = x, flow[1] = y;
  report_unless_finite(x, y, p.excess);
}

KERNEL(predict_flow_f32, PredictFlowParams, predict_flow_threads, 1) { predict_flow<float>(p); }
KERNEL(predict_flow_f16, PredictFlowParams, predict_flow_threads, 1) { predict_flow<__half>(p); }
KERNEL(predict_flow_bf16, PredictFlowParams, predict_flow_threads, 1) { predict_flow<__nv_bfloat16>(p); }

}  // namespace flow::kernels

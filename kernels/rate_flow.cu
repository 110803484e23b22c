// The confidence of a refined flow: the probability that each motion is right, from the measures of measure_flow, by a
// network of one hidden layer. Then it is resized from level 1 to the flow's size.
//
// rate_flow takes 8 reads, 1 write and some 200 FLOPs a pixel; its weights are parameters, so they come from the
// constant cache. resize_rated takes 4 reads, shared by neighbours, and 1 write. Memory limits both: half of 1920 x
// 1080 is 16.6 MB in, 2.1 MB between them and 8.3 MB out.

#include "rate_flow.h"

#include "map_place.cuh"

namespace flow::kernels {

KERNEL(rate_flow, RateFlowParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.width || y >= p.height) return;
  float measures[measure_count];
#pragma unroll
  for (int m = 0; m < measure_count; m++) {
    measures[m] = p.measures[static_cast<std::ptrdiff_t>(m * p.height + y) * p.ld_measures + x];
  }
  float z = p.weights.out[rating_hidden];
#pragma unroll
  for (int i = 0; i < rating_hidden; i++) {
    float sum = p.weights.hidden[i][measure_count];
#pragma unroll
    for (int m = 0; m < measure_count; m++) sum += p.weights.hidden[i][m] * measures[m];
    z += p.weights.out[i] * sum / (1 + fabsf(sum));
  }
  p.rated[static_cast<std::ptrdiff_t>(y) * p.ld_rated + x] = 1 / (1 + __expf(-z));
}

KERNEL(resize_rated, ResizeRatedParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (x >= p.to_width || y >= p.to_height) return;
  const MapPlace place((static_cast<float>(y) + 0.5F) * p.scale_down - 0.5F,
                       (static_cast<float>(x) + 0.5F) * p.scale_across - 0.5F, p.height, p.width);
  p.confidence[static_cast<std::ptrdiff_t>(y) * p.ld_confidence + x] = place.mean(p.rated, p.ld_rated);
}

}  // namespace flow::kernels

// The typical cost of a level: the median, over a grid of up to 4096 pixels, of the least cost of the starts that stay
// in the frame there. It decides what a pixel outside the frame costs.
//
// The median is exact, the one that sorting finds. A thread holds four costs. Their bits as floats are in the order of
// the numbers, since no cost is negative. So the median's bits are found from the highest to the lowest: a bit is set
// if at most half of all costs are below the number that it makes. That takes 31 rounds of four barriers that count,
// whose latency limits the kernel: some 5 us. It reads up to 4096 scattered pixels of each start, 12 bytes each.

#include "rate_costs.h"

#include "labels.cuh"

namespace flow::kernels {

KERNEL(rate_costs, RateCostsParams, rate_costs_threads, 1) {
  const LabelsView& labels = p.labels;
  const int first = p.step / 2;
  const int across = ceil_div(labels.width - first, p.step), points = ceil_div(labels.height - first, p.step) * across;
  const int row = max(across, 1);   // of a level narrower than `first` there are no points
  constexpr int none = 0x7f800000;  // infinity
  int costs[rate_costs_per_thread];
  int count = 0;
#pragma unroll
  for (int i = 0; i < rate_costs_per_thread; i++) {
    const int point = i * rate_costs_threads + static_cast<int>(threadIdx.x);
    const int y = first + point / row * p.step, x = first + point % row * p.step;
    costs[i] = none;
    for (int k = 0; k < labels.starts && point < points; k++) {
      if (!(part_inside(labels, motion_at(labels, k, y, x), y, x) > 0.9F)) continue;
      costs[i] = min(costs[i], __float_as_int(labels.costs[label_at(labels, k, y, x)]));
    }
    count += __syncthreads_count(costs[i] < none ? 1 : 0);
  }
  int median = 0;
#pragma unroll 1
  for (int bit = 1 << 30; bit > 0; bit /= 2) {
    int below = 0;
#pragma unroll
    for (int cost : costs) below += __syncthreads_count(cost < (median | bit) ? 1 : 0);
    if (below <= count / 2 && count > 0) median |= bit;
  }
  if (threadIdx.x != 0) return;
  const float typical = __int_as_float(median);
  labels.facts[0] = typical;
  labels.facts[1] = fmaxf(0.05F, typical + fminf(typical, p.outside));
}

}  // namespace flow::kernels

#pragma once

#include "labels.h"

// Parameters of rate_costs.cu: one block.

namespace flow::kernels {

constexpr int rate_costs_threads = 1024;
constexpr int rate_costs_per_thread = 4;  // pixels of a thread, at most

struct RateCostsParams {
  LabelsView labels;
  int step;       // of the pixels that are rated: (step / 2 + i * step, step / 2 + j * step)
  float outside;  // the most that a pixel outside costs beyond a typical one
};

}  // namespace flow::kernels

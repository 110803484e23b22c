#pragma once

#include "labels.h"

// Parameters of charge_labels.cu. Threads are pixels, in blocks of 32 x 8: charge_outside and charge_covered have a
// grid of (ceil(width / 32), ceil(height / 8), labels at most), claim_chosen and take_labels of the first two.

namespace flow::kernels {

struct ChargeOutsideParams {
  LabelsView labels;
  float relative;
  float moving;  // what every label but the first costs more
};

struct ChargeCoveredParams {
  LabelsView labels;
  const float* chosen;         // height x width, rows ld_chosen apart
  unsigned long long* claims;  // height x width, tight; zero before
  int ld_chosen;
  float covered;  // beyond the cost outside
};

struct TakeLabelsParams {
  LabelsView labels;
  const float* chosen;  // height x width, rows ld_chosen apart
  float* flow;          // 2 planes of height x width, rows ld_flow apart
  int ld_chosen, ld_flow;
};

}  // namespace flow::kernels

#pragma once

#include <cstdint>

#include "cpu/label_kernels.h"

// The parts of the choice between motions whose speed does not depend on the instruction set.

namespace flow::cpu {

/// facts, as `rate_costs` tells.
void rate(const LabelPlanes& labels, int starts, const LabelOptions& options, float* facts);

/// Row `row` of label `label`.
void charge_outside_row(const LabelPlanes& labels, int label, int row, const LabelOptions& options, float outside);

/// Who lands on a pixel at the least cost: its bits, then the index of the pixel that comes from.
struct CoveredLabelsJob {
  LabelPlanes labels;
  const float* chosen;
  std::ptrdiff_t ld_chosen;
  std::uint64_t* claims;
  std::ptrdiff_t ld_claims;
  float covered;
};
void clear_claims(const CoveredLabelsJob& job, int row);
void claim_chosen(const CoveredLabelsJob& job, int row);
void charge_claimed(const CoveredLabelsJob& job, int label, int row);

/// Row `row` of the flow of the chosen labels.
void take_chosen(const LabelPlanes& labels, const float* chosen, int row, const FlowPlanes& flow);

}  // namespace flow::cpu

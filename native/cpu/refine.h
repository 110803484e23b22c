#pragma once

#include "cpu/refine_kernels.h"

// The parts of the refinement whose speed does not depend on the instruction set.

namespace flow::cpu {

/// The choice between `count` candidates of each patch.
struct VoteJob {
  PatchGrid grid;
  const PatchTemplate* templates;
  PatchState* found;  // count * N
  int count;
  SearchOptions options;
  PatchState* patches;
};

/// Replaces `relative` of row `row` (of count * down) by its mean over the patches to the left and right.
void spread_row(const VoteJob& job, int row);
/// Then chooses in row `row` of the grid.
void vote_row(const VoteJob& job, int row);

/// Fits gain and offset of channel `channel`: exposure[channel] and exposure[4 + channel].
void fit_channel(const PatchJob& job, const PatchState* states, int channel, float* exposure);

struct CoveredJob {
  FlowPlanes flow;
  float* sure;
  std::ptrdiff_t ld_sure;
  int* best;  // for each pixel the bits of the largest `sure` that moves there: those of floats above 0 are in order
  std::ptrdiff_t ld_best;
};

/// Enters row `row` into `best`.
void claim_row(const CoveredJob& job, int row);
/// Then cuts row `row` of `sure`.
void cut_row(const CoveredJob& job, int row);

}  // namespace flow::cpu

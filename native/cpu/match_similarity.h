#pragma once

#include "ops/ops.h"

namespace flow::cpu {

/// Ops::match_similarity, row by row of the map. All pointers have one value per pixel.
struct MatchSimilarityJob {
  RealMatrix fused;
  Grid grid;
  int channels, radius;
  float* inverse_a;  // 1 / |a|, 0 for a vector of zeros
  float* inverse_b;
};

/// Writes the inverse norms of one row.
void match_norms(const MatchSimilarityJob& job, int row);
/// The sum over one row of the best cosines. Needs the norms of all rows.
double best_cosines(const MatchSimilarityJob& job, int row);

}  // namespace flow::cpu

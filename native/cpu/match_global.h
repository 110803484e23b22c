#pragma once

#include "cpu/kernels.h"
#include "ops/ops.h"

namespace flow::cpu {

/// Ops::match_global, item by item. A descriptor is a cell's features, less their channels' means, summed over 3 x 3
/// cells, and normalised; 0 for a vector of zeros, and for one that is not finite.
struct MatchGlobalJob {
  RealMatrix a, b;
  Grid grid;
  MatchOptions options;
  float* means;        // of a's channels, then of b's
  float* descriptors;  // of a: N x ld
  int ld;
  float* panels;  // of b, as `Panels` of N columns
  int panel;
  float* scores;  // match_block x ld_scores: of the cells of `a` from `first` on, with all cells of `b`
  int ld_scores;
  int* best;       // of each cell of `a`, the cell of `b`
  float* lead;     // by how much it is better than 0, and than the best one that is not near it; 0 if all are
  int* best_back;  // of each cell of `b`, the cell of `a`
  float* back_score;
  RealMatrix flow;
};

/// Cells of `a` whose scores are in memory at a time.
constexpr int match_block = 64;
/// Cells of `b` in one item of match_back.
constexpr int match_columns = 256;

/// Channels of one item of mean_channels: a cache line.
constexpr int mean_block = 16;

/// Means of `mean_block` channels of a from item * mean_block on, and then of b.
void mean_channels(const MatchGlobalJob& job, int item);
/// Descriptors of row `item` of the map of a, or of row item - height of that of b.
void describe_row(const MatchGlobalJob& job, int item);
/// The best match of cell first + item.
void match_cell(const MatchGlobalJob& job, int first, int item);
/// Updates the best matches of the `match_columns` cells of `b` from item * match_columns on.
void match_back(const MatchGlobalJob& job, int first, int count, int item);
/// Writes row `row` of the flow.
void accept_row(const MatchGlobalJob& job, int row);

}  // namespace flow::cpu

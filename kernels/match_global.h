#pragma once

#include <cstdint>

#include "layouts.h"

// Parameters of match_global.cu. The kernels run in the order of this list, each with its own grid:
//   match_means_TYPE     ceil(channels / match_means_channels) x 2: the maps a and b
//   match_describe_TYPE  ceil(cells / match_describe_cells) x 2
//   match_best           tiles of `a` x tiles of `b`, match_tile cells each
//   match_second         as match_best
//   match_accept         ceil(cells / match_accept_threads)

namespace flow::kernels {

constexpr int match_means_channels = 32;  // a lane per channel; each warp adds up every match_means_warps-th cell
constexpr int match_means_warps = 32;
constexpr int match_means_threads = 32 * match_means_warps;
constexpr int match_means_shared_bytes = match_means_threads * 4;

constexpr int match_describe_threads = 256;  // a warp per cell
constexpr int match_describe_cells = match_describe_threads / 32;

constexpr int match_tile = 64;                              // cells of `a` and of `b` whose cosines one block computes
constexpr int match_tile_threads = 256;                     // 16 x 16, with 4 x 4 cosines each
constexpr int match_depth = 16;                             // channels of a slice in shared memory
constexpr int match_pitch = match_tile + 4;                 // of one channel's cells there, against bank conflicts
constexpr int match_slice = 2 * match_depth * match_pitch;  // floats, of `a` and then of `b`
constexpr int match_tile_shared_bytes = 2 * match_slice * 4;

constexpr int match_accept_threads = 128;

constexpr int match_near = 2;  // cells down and across from the best one that are not its rivals

/// Floats from one descriptor to the next, the last of them zeros.
constexpr int match_descriptor_stride(int channels) { return round_up(channels, match_depth); }

/// A cosine and a cell; see best_key.
using MatchKey = unsigned long long;

struct MatchGlobalParams {
  const void* a;       // height * width rows, lda apart, of `channels` features
  const void* b;       // rows ldb apart
  float* means;        // scratch: of a's channels, then of b's
  float* descriptors;  // scratch: of a's cells, then of b's, ld apart; aligned to 16 bytes
  MatchKey* best;      // scratch: of each cell of `a`, the best cell of `b`; then of each cell of `b`, that of `a`
  int* second;  // scratch: of each cell of `a`, the bits of the best cosine, if above 0, with cells not near that one
  float* flow;  // 2 planes of height x width, rows ldf apart
  int height, width, channels, lda, ldb, ldf;
  int ld;      // match_descriptor_stride(channels)
  float lead;  // a match counts if it is better than the second by more,
  int agree;   // and if so many of its neighbours have the same motion to one cell
};

}  // namespace flow::kernels

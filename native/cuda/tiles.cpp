#include "cuda/tiles.h"

#include <algorithm>
#include <iterator>

#include "kernels/attention.h"

namespace flow::cuda {

namespace {

/// Bytes of shared memory that the driver reserves in a multiprocessor for each block.
constexpr std::size_t reserved_per_block = 1024;

/// Cost of loading one element of a slice, in multiply-adds. With it, a result costs 1.5 times as much in a tile of 64
/// x 64 as in one of 128 x 128.
constexpr double load_cost = 64;

/// More splits cost more than they save: their sums must be added up.
constexpr int max_splits = 8;
/// Fewer keys do not pay for loading the queries. Only the last split may have fewer.
constexpr int min_key_tiles = 4;
/// Cost of writing the sums of a split and reading them again, in key tiles of about as many bytes.
constexpr int split_cost = 2;

/// Blocks on one multiprocessor share its matrix units. So the time is that of the busiest multiprocessor, which runs
/// its blocks one after the other.
int rounds(long long blocks, const DeviceInfo& device) {
  const int multiprocessors = std::max(1, device.multiprocessors);
  return static_cast<int>((blocks + multiprocessors - 1) / multiprocessors);
}

bool fits(kernels::GemmTile tile, int element_bytes, const DeviceInfo& device) {
  const auto shared = static_cast<std::size_t>(kernels::gemm_shared_bytes(tile, element_bytes));
  return shared <= device.shared_per_block && shared + reserved_per_block <= device.shared_per_multiprocessor;
}

}  // namespace

double gemm_time(kernels::GemmTile tile, int m, int n, int k, int element_bytes, const DeviceInfo& device) {
  const long long blocks = static_cast<long long>(ceil_div(m, tile.rows)) * ceil_div(n, tile.cols);
  const double slice = tile.rows * tile.cols + load_cost * (tile.rows + tile.cols);
  // The first slices must arrive before there is anything to compute.
  const int slices = ceil_div(k, kernels::gemm_depth(element_bytes)) + tile.stages - 1;
  return rounds(blocks, device) * slice * slices;
}

kernels::GemmTile choose_gemm_tile(int m, int n, int k, int element_bytes, const DeviceInfo& device) {
  // float32 is for accuracy. It is compiled for the last tile only.
  const auto* first = element_bytes == 4 ? std::end(kernels::gemm_tiles) - 1 : std::begin(kernels::gemm_tiles);
  const kernels::GemmTile* best = nullptr;
  double best_time = 0;
  for (const auto* tile = first; tile != std::end(kernels::gemm_tiles); ++tile) {
    if (!fits(*tile, element_bytes, device)) continue;  // its slices exceed a block's shared memory
    const double time = gemm_time(*tile, m, n, k, element_bytes, device);
    if (best == nullptr || time < best_time) {
      best = tile;
      best_time = time;
    }
  }
  if (best == nullptr) throw Error(ErrorCode::device, "CUDA: " + device.name + " has too little shared memory");
  return *best;
}

int choose_attention_splits(int tokens, int heads, const DeviceInfo& device) {
  const int key_tiles = std::max(1, ceil_div(tokens, kernels::attention_keys));
  const long long blocks = static_cast<long long>(ceil_div(tokens, kernels::attention_queries)) * heads;
  int best = key_tiles;
  int best_time = rounds(blocks, device) * key_tiles;
  for (int wanted = 2; wanted <= max_splits; wanted++) {
    const int tiles = ceil_div(key_tiles, wanted);
    if (tiles < min_key_tiles) break;
    const int splits = ceil_div(key_tiles, tiles);  // fewer than wanted if the tiles do not divide evenly
    const int time = rounds(blocks * splits, device) * (tiles + split_cost);
    if (time < best_time) {
      best = tiles;
      best_time = time;
    }
  }
  return best * kernels::attention_keys;
}

}  // namespace flow::cuda

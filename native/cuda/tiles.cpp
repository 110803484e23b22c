#include "cuda/tiles.h"

#include <algorithm>

namespace flow::cuda {

namespace {

/// Bytes of shared memory that the driver reserves in a multiprocessor for each block.
constexpr std::size_t reserved_per_block = 1024;

/// Bytes that a multiprocessor reads from shared memory in a cycle.
constexpr double shared_per_cycle = 128;
/// Bytes that a multiprocessor reads from L2 in a cycle if no other one does.
constexpr double l2_per_cycle = 64;
/// Bytes that each multiprocessor reads from L2 in a cycle if all of them do. Cards have 16 to 32.
constexpr double l2_share_per_cycle = 24;
/// Results that a multiprocessor stores in a cycle, of two or four bytes.
constexpr double results_per_cycle = 8;

/// SwiGLU stores one value for a column of gate and a column of up.
constexpr int columns_per_result(std::string_view op) { return op == "swiglu" ? 2 : 1; }

/// More splits cost more than they save: their sums must be added up.
constexpr int max_splits = 8;
/// Fewer keys do not pay for loading the queries. Only the last split may have fewer.
constexpr int min_key_tiles = 4;

/// Cycles of a multiprocessor for one mma.m16n8k16 with float32 sums. bench/gpu/cards.mjs has the same rates, and says
/// where those of 8.x, 9.0 and 11.0 come from; those of 7.5 and 12.0 are of their data sheets' peaks.
double mma_cycles(const DeviceInfo& device) {
  switch (device.capability_major) {
    case 7: return 4;
    case 8: return device.capability_minor == 0 || device.capability_minor == 7 ? 2 : 8;
    case 9: return 1.6;
    case 12: return 8;
    default: return 2;
  }
}

/// Blocks on one multiprocessor share its matrix units. So the time is that of the busiest multiprocessor, which runs
/// its blocks one after the other.
int rounds(long long blocks, const DeviceInfo& device) {
  const int multiprocessors = std::max(1, device.multiprocessors);
  return static_cast<int>((blocks + multiprocessors - 1) / multiprocessors);
}

/// Bytes from L2 to all multiprocessors in a cycle.
double l2_rate(const DeviceInfo& device) { return l2_share_per_cycle * std::max(1, device.multiprocessors); }

/// Warps of a wide tile that a multiprocessor must have room for: two for each of its four schedulers. With fewer, no
/// other warp computes while one waits at a barrier or stores its results.
constexpr std::size_t warps_of_wide_tiles = 8;

bool fits(kernels::GemmTile tile, int element_bytes, const DeviceInfo& device) {
  const auto shared = static_cast<std::size_t>(kernels::gemm_shared_bytes(tile, element_bytes));
  const std::size_t blocks = device.shared_per_multiprocessor / (shared + reserved_per_block);
  if (shared > device.shared_per_block || blocks == 0) return false;
  return !kernels::is_wide(tile) || blocks * tile.threads / 32 >= warps_of_wide_tiles;
}

}  // namespace

double gemm_time(std::string_view op, kernels::GemmTile tile, int m, int n, int k, int element_bytes,
                 const DeviceInfo& device) {
  const long long blocks = static_cast<long long>(ceil_div(m, tile.rows)) * ceil_div(n, tile.cols);
  const double accumulators = static_cast<double>(tile.rows) * tile.cols;
  const double results = accumulators / columns_per_result(op);
  const int warps = tile.threads / 32;
  const double warp_sides = tile.warp_rows + accumulators / warps / tile.warp_rows;

  // Of a slice: 64 bytes of each row and column, copied to shared memory once and read by every warp that needs them.
  constexpr double slice_bytes = 64;
  const double mma = accumulators * kernels::gemm_depth(element_bytes) / (16 * 8 * 16);
  const double shared = slice_bytes * (tile.rows + tile.cols + warps * warp_sides);
  const double slice = std::max(mma * mma_cycles(device), shared / shared_per_cycle);
  // The first slices must arrive before there is anything to compute.
  const int slices = ceil_div(k, kernels::gemm_depth(element_bytes)) + tile.stages - 1;
  const double of_block = slice * slices + results / results_per_cycle;
  const double from_l2 =
      static_cast<double>(blocks) * element_bytes * ((static_cast<double>(tile.rows) + tile.cols) * k + results);
  return std::max(rounds(blocks, device) * of_block, from_l2 / l2_rate(device));
}

int choose_gemm_panel(kernels::GemmTile tile, int m, int n, int k, int element_bytes, const DeviceInfo& device) {
  const int columns = std::max(1, ceil_div(n, tile.cols)), rows = ceil_div(m, tile.rows);
  const auto l2 = static_cast<double>(device.l2);
  const double a = static_cast<double>(m) * k * element_bytes, b = static_cast<double>(n) * k * element_bytes;
  const double out = static_cast<double>(m) * n * element_bytes;  // about: some results are float32, or pairs in one
  const auto traffic = [&](int panel) {
    const int panels = columns / panel;
    const double kept = b / panels;
    if (kept >= l2) return panels * a + rows * b + out;
    // Everything that comes in pushes out what came first. So the panel comes again each time that L2 was filled.
    return std::min((panels * a + b + out) / (1 - kept / l2), panels * a + rows * b + out);
  };
  int best = columns;
  for (int panel = columns - 1; panel >= 1; panel--) {
    if (columns % panel == 0 && traffic(panel) < traffic(best)) best = panel;
  }
  return best;
}

kernels::GemmTile choose_gemm_tile(std::string_view op, int capability, int m, int n, int k, int element_bytes,
                                   const DeviceInfo& device) {
  const kernels::GemmTile* best = nullptr;
  double best_time = 0;
  for (const kernels::GemmTile& tile : kernels::gemm_tiles_of(op, element_bytes, capability)) {
    if (!fits(tile, element_bytes, device)) continue;
    const double time = gemm_time(op, tile, m, n, k, element_bytes, device);
    // A round of large blocks often takes as long as two of small ones. Then the larger tile, which reads less from L2.
    if (best == nullptr || time < 0.999 * best_time) {
      best = &tile;
      best_time = time;
    }
  }
  if (best == nullptr) throw Error(ErrorCode::device, "CUDA: " + device.name + " has too little shared memory");
  return *best;
}

double attention_time(kernels::AttentionBlock block, int keys_per_split, AttentionWork work, const DeviceInfo& device) {
  const int splits = ceil_div(std::max(1, work.tokens), keys_per_split);
  const int key_tiles = keys_per_split / kernels::attention_keys;
  const long long blocks = static_cast<long long>(ceil_div(work.tokens, block.queries)) * work.heads * splits;
  const double row = static_cast<double>(work.head_dim) * work.element_bytes;

  // An mma takes 256 bytes of keys or values, which a warp's fragments share.
  const int fragments = block.queries / 16, warps = block.threads / 32;
  const double mma = static_cast<double>(fragments) * work.head_dim;
  const double tile = 2 * kernels::attention_keys * row;
  const double cycles = std::max(mma * mma_cycles(device), (mma * 256 * warps / fragments + tile) / shared_per_cycle);
  const double sums =
      splits == 1 ? 0 : 2.0 * block.queries * kernels::attention_partial_floats(work.head_dim) * sizeof(float);
  const double of_block = key_tiles * cycles + (block.queries * row + sums) / l2_per_cycle;
  const double from_l2 = static_cast<double>(blocks) * (key_tiles * tile + 2 * block.queries * row + sums);
  return std::max(rounds(blocks, device) * of_block, from_l2 / l2_rate(device));
}

int choose_attention_splits(kernels::AttentionBlock block, AttentionWork work, const DeviceInfo& device) {
  const int key_tiles = std::max(1, ceil_div(work.tokens, kernels::attention_keys));
  const auto time = [&](int tiles) { return attention_time(block, tiles * kernels::attention_keys, work, device); };
  int best = key_tiles;
  for (int wanted = 2; wanted <= max_splits; wanted++) {
    const int tiles = ceil_div(key_tiles, wanted);
    if (tiles < min_key_tiles) break;
    if (time(tiles) < time(best)) best = tiles;
  }
  return best * kernels::attention_keys;
}

kernels::AttentionBlock choose_attention_block(AttentionWork work, const DeviceInfo& device) {
  const auto time = [&](kernels::AttentionBlock block) {
    return attention_time(block, choose_attention_splits(block, work, device), work, device);
  };
  // The first of equal ones: larger blocks read keys and values less often.
  return *std::ranges::min_element(kernels::attention_blocks_of(work.head_dim, work.element_bytes), {}, time);
}

}  // namespace flow::cuda

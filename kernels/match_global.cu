// For each cell of `a`, the motion to the cell of `b` that is most like it, wherever that is, if it is certain: see
// Ops::match_global. N is the number of cells, C the number of channels, all arithmetic is float32.
//
//   match_means     mean of each channel of a map: reads N C features
//   match_describe  descriptor of a cell: features less means, summed over 3 x 3 cells, normalised
//   match_best      all N x N cosines of descriptors: the best of each cell of `a`, and of each cell of `b`
//   match_second    all cosines again: the best one that is not near the best cell
//   match_accept    which matches count
//
// match_best and match_second are a product with N N C multiply-adds each, and nearly all of the time: for 40 x 40
// cells and 256 channels 0.66 G, and 82 MB of descriptors that the tiles read from L2. The FMA units limit them: a
// thread has 16 FMAs for two 16-byte loads from shared memory. Tensor cores would round the descriptors, and a lead of
// 0.03 between two close cosines is what decides.
//
// The cosines are never in memory. A block has one pair of tiles, reduces its cosines in registers, and raises maxima
// in global memory with atomics. A maximum does not depend on the order of arrival, so the results are deterministic.
// One block for a tile of `a` that walks over all of `b` would need no atomics for `a`, but 40 x 40 cells are only 25
// blocks.
//
// The second best needs the best first, as cells near the best are not its rivals. Therefore the product is computed
// twice. One pass would have to keep the 26 best of each cell, as 25 of them may be near each other, and to merge them
// between blocks.

#include "match_global.h"

#include "number.cuh"

namespace flow::kernels {

// ---- descriptors ----------------------------------------------------------------------------------------------------

/// One of the two maps.
template <class T>
struct MatchMap {
  const T* features;
  int ld;
};

/// The map of this block: `a`, or `b` for the second row of blocks.
template <class T>
DEVICE MatchMap<T> match_map(const MatchGlobalParams& p) {
  return blockIdx.y == 0 ? MatchMap<T>{static_cast<const T*>(p.a), p.lda}
                         : MatchMap<T>{static_cast<const T*>(p.b), p.ldb};
}

template <class T>
DEVICE void match_means(const MatchGlobalParams& p) {
  SHARED_MEMORY(float, sums);
  const MatchMap<T> map = match_map<T>(p);
  const int cells = p.height * p.width, thread = static_cast<int>(threadIdx.x);
  const int channel = static_cast<int>(blockIdx.x) * match_means_channels + lane_id();
  float sum = 0;
  if (channel < p.channels) {
#pragma unroll 4
    for (int i = warp_id(); i < cells; i += match_means_warps) {
      sum += to_float(map.features[static_cast<std::ptrdiff_t>(i) * map.ld + channel]);
    }
  }
  sums[thread] = sum;
  __syncthreads();
  if (warp_id() != 0 || channel >= p.channels) return;
  for (int warp = 1; warp < match_means_warps; warp++) sum += sums[warp * match_means_channels + thread];
  p.means[static_cast<int>(blockIdx.y) * p.channels + channel] = sum / static_cast<float>(cells);
}

/// The sum over the cells beside cell (y, x), and itself, of channel c less its mean.
template <class T>
DEVICE float sum_3x3(const MatchGlobalParams& p, MatchMap<T> map, int y, int x, int c, float mean) {
  float sum = 0;
  for (int ny = max(0, y - 1); ny <= min(p.height - 1, y + 1); ny++) {
    for (int nx = max(0, x - 1); nx <= min(p.width - 1, x + 1); nx++) {
      sum += to_float(map.features[static_cast<std::ptrdiff_t>(ny * p.width + nx) * map.ld + c]) - mean;
    }
  }
  return sum;
}

/// Also starts the maxima of its cell, which the next kernels raise.
template <class T>
DEVICE void match_describe(const MatchGlobalParams& p) {
  const MatchMap<T> map = match_map<T>(p);
  const int cells = p.height * p.width, which = static_cast<int>(blockIdx.y);
  const int cell = static_cast<int>(blockIdx.x) * match_describe_cells + warp_id();
  if (cell >= cells) return;
  const int y = cell / p.width, x = cell % p.width;
  const float* means = p.means + which * p.channels;
  float* descriptor = p.descriptors + static_cast<std::ptrdiff_t>(which * cells + cell) * p.ld;
  float square = 0;
  for (int c = lane_id(); c < p.ld; c += warp_size) {
    const float sum = c < p.channels ? sum_3x3(p, map, y, x, c, means[c]) : 0.F;
    descriptor[c] = sum;
    square += sum * sum;
  }
  for (int step = warp_size / 2; step > 0; step /= 2) square += __shfl_xor_sync(0xffffffff, square, step);
  // Features that are not finite match nothing, like zeros.
  const bool directed = square > 0 && isfinite(square);
  const float norm = sqrtf(square);
  for (int c = lane_id(); c < p.ld; c += warp_size) descriptor[c] = directed ? descriptor[c] / norm : 0.F;
  if (lane_id() == 0) {
    p.best[which * cells + cell] = 0;
    if (which == 0) p.second[cell] = 0;
  }
}

// ---- all pairs ------------------------------------------------------------------------------------------------------

/// A number that is larger the larger the cosine is, and for equal cosines the smaller the cell is. Never 0.
DEVICE MatchKey best_key(float cosine, int cell) {
  const std::uint32_t bits = __float_as_uint(cosine + 0.F);  // -0 becomes 0
  const std::uint32_t ordered = (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
  return static_cast<MatchKey>(ordered) << 32 | ~static_cast<std::uint32_t>(cell);
}
DEVICE int cell_of(MatchKey key) { return static_cast<int>(~static_cast<std::uint32_t>(key)); }
DEVICE float cosine_of(MatchKey key) {
  const std::uint32_t ordered = static_cast<std::uint32_t>(key >> 32);
  return __uint_as_float((ordered >> 31) != 0 ? ordered & 0x7fffffffU : ~ordered);
}

/// The cosines of a tile of `a` with a tile of `b`. Thread t has rows 4 * (t / 16) + i of `a` and columns
/// 4 * (t % 16) + j of `b`.
class CosineTile {
 public:
  /// `slices` has room for two slices. The last barrier is before the last slice is read.
  DEVICE CosineTile(const MatchGlobalParams& p, float* slices) : cells_(p.height * p.width) {
    const int thread = static_cast<int>(threadIdx.x);
    // A pair of threads copies eight channels of a cell: whole sectors of 32 bytes, and no two threads of a warp write
    // to the same bank.
    const int cell = thread / 2 % match_tile, channel = thread % 2 * 4 + thread / (2 * match_tile) * 8;
    const int row = min(first_row() + cell, cells_ - 1), column = cells_ + min(first_column() + cell, cells_ - 1);
    const float* from_a = p.descriptors + static_cast<std::ptrdiff_t>(row) * p.ld + channel;
    const float* from_b = p.descriptors + static_cast<std::ptrdiff_t>(column) * p.ld + channel;
    float4 a = load(from_a), b = load(from_b);
    for (int begin = 0; begin < p.ld; begin += match_depth) {
      float* slice = slices + begin / match_depth % 2 * match_slice;
      float* to = slice + channel * match_pitch + cell;
      store(to, a);
      store(to + match_depth * match_pitch, b);
      if (begin + match_depth < p.ld) {  // on their way during the products
        a = load(from_a + begin + match_depth), b = load(from_b + begin + match_depth);
      }
      __syncthreads();  // this slice is there, and the other one has been read
      multiply(slice);
    }
  }

  DEVICE int first_row() const { return static_cast<int>(blockIdx.x) * match_tile; }
  DEVICE int first_column() const { return static_cast<int>(blockIdx.y) * match_tile; }
  /// The cell of `a` of row i of this thread; it may be beyond the last.
  DEVICE int row(int i) const { return first_row() + static_cast<int>(threadIdx.x) / 16 * 4 + i; }
  DEVICE int column(int j) const { return first_column() + static_cast<int>(threadIdx.x) % 16 * 4 + j; }
  DEVICE bool has(int i, int j) const { return row(i) < cells_ && column(j) < cells_; }
  DEVICE float cosine(int i, int j) const { return cosines_[i][j]; }

 private:
  /// Four channels of one cell.
  DEVICE static float4 load(const float* from) { return *reinterpret_cast<const float4*>(from); }
  DEVICE static void store(float* to, float4 x) {
    to[0] = x.x, to[match_pitch] = x.y, to[2 * match_pitch] = x.z, to[3 * match_pitch] = x.w;
  }

  DEVICE void multiply(const float* slice) {
    const float* a = slice + threadIdx.x / 16 * 4;
    const float* b = slice + match_depth * match_pitch + threadIdx.x % 16 * 4;
#pragma unroll
    for (int c = 0; c < match_depth; c++) {
      const float4 rows = *reinterpret_cast<const float4*>(a + c * match_pitch);
      const float4 columns = *reinterpret_cast<const float4*>(b + c * match_pitch);
      const float x[4] = {rows.x, rows.y, rows.z, rows.w}, y[4] = {columns.x, columns.y, columns.z, columns.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) cosines_[i][j] += x[i] * y[j];
      }
    }
  }

  int cells_;
  float cosines_[4][4] = {};
};

DEVICE void find_best(const MatchGlobalParams& p) {
  SHARED_MEMORY(float, slices);
  const CosineTile tile(p, slices);
  const int cells = p.height * p.width;
  MatchKey rows[4] = {}, columns[4] = {};
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (!tile.has(i, j)) continue;
      rows[i] = max(rows[i], best_key(tile.cosine(i, j), tile.column(j)));
      columns[j] = max(columns[j], best_key(tile.cosine(i, j), tile.row(i)));
    }
  }

  // A row of the tile is in 16 lanes. A column is in two lanes of each warp.
#pragma unroll
  for (int i = 0; i < 4; i++) {
    for (int step = 8; step > 0; step /= 2) rows[i] = max(rows[i], __shfl_xor_sync(0xffffffff, rows[i], step));
    if (lane_id() % 16 == 0 && tile.row(i) < cells) atomicMax(p.best + tile.row(i), rows[i]);
  }
  __syncthreads();  // the slices have been read
  auto* const of_warps = reinterpret_cast<MatchKey*>(slices);
#pragma unroll
  for (int j = 0; j < 4; j++) {
    columns[j] = max(columns[j], __shfl_xor_sync(0xffffffff, columns[j], 16));
    if (lane_id() < 16) of_warps[warp_id() * match_tile + lane_id() * 4 + j] = columns[j];
  }
  __syncthreads();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread >= match_tile || tile.first_column() + thread >= cells) return;
  MatchKey best = 0;
  for (int warp = 0; warp < match_tile_threads / warp_size; warp++) {
    best = max(best, of_warps[warp * match_tile + thread]);
  }
  atomicMax(p.best + cells + tile.first_column() + thread, best);
}

/// Whether two cells are at most `distance` apart, down and across.
DEVICE bool are_near(int width, int a, int b, int distance) {
  return abs(a / width - b / width) <= distance && abs(a % width - b % width) <= distance;
}

DEVICE void find_second(const MatchGlobalParams& p) {
  SHARED_MEMORY(float, slices);
  const CosineTile tile(p, slices);
  const int cells = p.height * p.width;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int best = tile.row(i) < cells ? cell_of(p.best[tile.row(i)]) : 0;
    float second = 0;  // a float that is not negative is in the order of its bits
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (tile.has(i, j) && !are_near(p.width, best, tile.column(j), match_near)) {
        second = fmaxf(second, tile.cosine(i, j));
      }
    }
    for (int step = 8; step > 0; step /= 2) second = fmaxf(second, __shfl_xor_sync(0xffffffff, second, step));
    if (lane_id() % 16 == 0 && tile.row(i) < cells) atomicMax(p.second + tile.row(i), __float_as_int(second));
  }
}

// ---- acceptance -----------------------------------------------------------------------------------------------------

/// Whether there are only cells near this one: then nothing can be said of its lead.
DEVICE bool is_all_near(const MatchGlobalParams& p, int cell) {
  const int y = cell / p.width, x = cell % p.width;
  return max(y, p.height - 1 - y) <= match_near && max(x, p.width - 1 - x) <= match_near;
}

DEVICE void accept(const MatchGlobalParams& p) {
  const int cells = p.height * p.width;
  const int cell = static_cast<int>(blockIdx.x) * match_accept_threads + static_cast<int>(threadIdx.x);
  if (cell >= cells) return;
  const int y = cell / p.width, x = cell % p.width, best = cell_of(p.best[cell]);
  const int down = best / p.width - y, across = best % p.width - x;
  int agree = -1;  // it agrees with itself
  for (int ny = max(0, y - 1); ny <= min(p.height - 1, y + 1); ny++) {
    for (int nx = max(0, x - 1); nx <= min(p.width - 1, x + 1); nx++) {
      const int other = cell_of(p.best[ny * p.width + nx]);
      const bool same = abs(other / p.width - ny - down) <= 1 && abs(other % p.width - nx - across) <= 1;
      agree += same ? 1 : 0;
    }
  }
  const bool mutual = are_near(p.width, cell_of(p.best[cells + best]), cell, 1);
  const bool leads = !is_all_near(p, best) && cosine_of(p.best[cell]) - __int_as_float(p.second[cell]) > p.lead;
  const bool counts = mutual && leads && agree >= p.agree;
  float* u = p.flow + static_cast<std::ptrdiff_t>(y) * p.ldf + x;
  u[0] = counts ? static_cast<float>(across) : NAN;
  u[static_cast<std::ptrdiff_t>(p.height) * p.ldf] = counts ? static_cast<float>(down) : NAN;
}

KERNEL(match_means_f32, MatchGlobalParams, match_means_threads, 1) { match_means<float>(p); }
KERNEL(match_means_f16, MatchGlobalParams, match_means_threads, 1) { match_means<__half>(p); }
KERNEL(match_means_bf16, MatchGlobalParams, match_means_threads, 1) { match_means<__nv_bfloat16>(p); }

KERNEL(match_describe_f32, MatchGlobalParams, match_describe_threads, 1) { match_describe<float>(p); }
KERNEL(match_describe_f16, MatchGlobalParams, match_describe_threads, 1) { match_describe<__half>(p); }
KERNEL(match_describe_bf16, MatchGlobalParams, match_describe_threads, 1) { match_describe<__nv_bfloat16>(p); }

KERNEL(match_best, MatchGlobalParams, match_tile_threads, 2) { find_best(p); }
KERNEL(match_second, MatchGlobalParams, match_tile_threads, 2) { find_second(p); }
KERNEL(match_accept, MatchGlobalParams, match_accept_threads, 1) { accept(p); }

}  // namespace flow::kernels

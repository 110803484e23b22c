// Attention in one pass over the keys (Dao, FlashAttention-2, 2023): for every head, out = softmax(q k^T) v. q comes
// scaled by log2(e) / sqrt(head_dim), so that a weight is 2^(score - largest score so far). Scores never leave
// registers; when a tile of keys raises the maximum, what was gathered before is scaled down.
//
//   attention_warp.cuh   what a warp does with a tile, and who holds which score
//
// q, k and v are heads x tokens x HD, a head's channels padded with zeros to 32, 64 or 128; out is tokens x heads *
// head_dim without the padding. Products are of float32, float16 or bfloat16, everything else is float32; weights are
// rounded to the elements' type for the second product, their sum is not.
//
// It is 4 tokens^2 heads head_dim FLOPs: of 1605 tokens and 6 heads of 64, a ViT-S at 480 x 848, 3.96 GFLOP a layer. It
// moves q, k, v and out once through memory, 4.9 MB in float16, and k and v once per query block through the second-
// level cache, 64 MB: 60 FLOPs a byte. So memory is not what limits it. The tensor cores take 64 mma of a warp per tile
// of 64 keys (HD 64); between the two products come 32 powers of two and some 150 other instructions a thread, during
// which they would idle. Three blocks per multiprocessor, 168 registers a thread up to HD 64, cover for each other;
// within a block the tiles of keys and values, in turn, are sent for one (float32) or two tiles ahead of their use.
//
// A block has 64 queries, a warp 16, so a row of scores is within four or eight lanes, and warps meet only to pass
// tiles. Small maps have too few blocks of 64 queries for a large GPU: then the keys are split over blocks too, and the
// last block to arrive merges the splits' results, in order, so that the outcome does not depend on who was last.

#include "attention_warp.cuh"

namespace flow::kernels {

/// Below all scores, and finite: its difference from itself is zero.
constexpr float attention_no_score = -1e30F;

/// The tiles of a split in their order, keys and values in turn, through a ring in shared memory.
template <class T, int HD>
class AttentionTiles {
 public:
  using Tile = AttentionTile<T, HD>;
  static constexpr int stages = attention_stages(sizeof(T));

  /// Keys `begin` to `end` of a head.
  DEVICE AttentionTiles(T* ring, const T* keys, const T* values, int begin, int end)
      : ring_(ring), keys_(keys), values_(values), key_(begin), end_(end) {
#pragma unroll
    for (int i = 0; i < stages - 1; i++) start();
  }

  /// The next tile; the one before is over for all warps.
  DEVICE const T* next() {
    cp_async_wait<stages - 2>();
    __syncthreads();
    start();
    const T* const tile = ring_ + used_ * Tile::elements;
    used_ = used_ + 1 == stages ? 0 : used_ + 1;
    return tile;
  }

 private:
  DEVICE void start() {
    if (key_ < end_) {
      Tile::start(ring_ + sent_ * Tile::elements,
                  (of_values_ ? values_ : keys_) + static_cast<std::ptrdiff_t>(key_) * HD, end_ - key_);
      if (of_values_) key_ += attention_keys;
      of_values_ = !of_values_;
      sent_ = sent_ + 1 == stages ? 0 : sent_ + 1;
    }
    cp_async_commit();
  }

  T* ring_;
  const T *keys_, *values_;
  int key_, end_;
  bool of_values_ = false;
  int sent_ = 0, used_ = 0;
};

/// The softmax of the thread's queries over the keys so far.
template <class Warp>
struct AttentionState {
  float largest[Warp::queries];
  float total[Warp::queries];  // of the weights of this thread's keys, until `add_lanes`
  typename Warp::Sums sums;

  DEVICE AttentionState() {
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) largest[i] = attention_no_score, total[i] = 0.F;
#pragma unroll
    for (auto& sum : sums) sum[0] = sum[1] = sum[2] = sum[3] = 0.F;
  }

  /// Scores become weights.
  DEVICE void soften(typename Warp::Scores& scores) {
    float rescale[Warp::queries];
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) rescale[i] = largest[i];
#pragma unroll
    for (int j = 0; j < 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        float& high = largest[Warp::score_query(j, e)];
        high = fmaxf(high, scores[j][e]);
      }
    }
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) {
#pragma unroll
      for (int lane = 1; lane < Warp::lanes; lane *= 2) {
        largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xffffffffU, largest[i], lane));
      }
      rescale[i] = fast_exp2(rescale[i] - largest[i]);
      total[i] *= rescale[i];
    }
#pragma unroll
    for (int j = 0; j < 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int i = Warp::score_query(j, e);
        scores[j][e] = fast_exp2(scores[j][e] - largest[i]);
        total[i] += scores[j][e];
      }
    }
#pragma unroll
    for (int j = 0; j < static_cast<int>(sizeof(sums) / sizeof(sums[0])); j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) sums[j][e] *= rescale[Warp::sum_query(j, e)];
    }
  }

  DEVICE void add_lanes() {
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) {
#pragma unroll
      for (int lane = 1; lane < Warp::lanes; lane *= 2) total[i] += __shfl_xor_sync(0xffffffffU, total[i], lane);
    }
  }
};

/// What the blocks of one head and query block leave for the last of them: per split the sums as the threads hold them,
/// four in a row per thread, then the totals and the largest scores of the queries.
template <class Warp, int HD>
class AttentionSplits {
 public:
  using State = AttentionState<Warp>;

  DEVICE explicit AttentionSplits(const AttentionParams& p)
      : base_(p.partial + (static_cast<std::ptrdiff_t>(blockIdx.y) * gridDim.x + blockIdx.x) * floats),
        stride_(static_cast<std::ptrdiff_t>(gridDim.y) * gridDim.x * floats),
        arrived_(p.arrived + blockIdx.y * gridDim.x + blockIdx.x) {}

  DEVICE void leave(const State& state) const {
    float* const to = base_ + blockIdx.z * stride_;
#pragma unroll
    for (int j = 0; j < HD / 8; j++) {
      const float(&sum)[4] = state.sums[j];
      reinterpret_cast<float4*>(to)[j * attention_threads + threadIdx.x] = make_float4(sum[0], sum[1], sum[2], sum[3]);
    }
    if (lane_id() % Warp::lanes != 0) return;
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) {
      float* const query = to + attention_queries * HD + Warp::query(i);
      query[0] = state.total[i];
      query[attention_queries] = state.largest[i];
    }
  }

  /// Whether all other blocks have left theirs; the same in all threads. The counter wraps to zero with the last one.
  DEVICE bool last_to_arrive() const {
    __threadfence();
    __syncthreads();
    const bool last = threadIdx.x == 0 && atomicInc(arrived_, gridDim.z - 1) == gridDim.z - 1;
    const bool all = __syncthreads_or(last) != 0;
    __threadfence();
    return all;
  }

  DEVICE void merge(State& state) const {
    const int splits = static_cast<int>(gridDim.z);
    state = State();
#pragma unroll 1
    for (int split = 0; split < splits; split++) {
#pragma unroll
      for (int i = 0; i < Warp::queries; i++) {
        state.largest[i] = fmaxf(state.largest[i], queries(split)[attention_queries + Warp::query(i)]);
      }
    }
#pragma unroll 1
    for (int split = 0; split < splits; split++) {
      float rescale[Warp::queries];
#pragma unroll
      for (int i = 0; i < Warp::queries; i++) {
        const float* const query = queries(split) + Warp::query(i);
        rescale[i] = fast_exp2(query[attention_queries] - state.largest[i]);
        state.total[i] += query[0] * rescale[i];
      }
      const float4* const from = reinterpret_cast<const float4*>(base_ + split * stride_);
#pragma unroll
      for (int j = 0; j < HD / 8; j++) {
        const float4 sum = from[j * attention_threads + threadIdx.x];
        state.sums[j][0] += sum.x * rescale[Warp::sum_query(j, 0)];
        state.sums[j][1] += sum.y * rescale[Warp::sum_query(j, 1)];
        state.sums[j][2] += sum.z * rescale[Warp::sum_query(j, 2)];
        state.sums[j][3] += sum.w * rescale[Warp::sum_query(j, 3)];
      }
    }
  }

 private:
  static constexpr int floats = attention_queries * attention_partial_floats(HD);

  DEVICE const float* queries(int split) const { return base_ + split * stride_ + attention_queries * HD; }

  float* base_;
  std::ptrdiff_t stride_;  // from split to split
  unsigned* arrived_;
};

/// The weighted means of the queries from `first` on, without the padding.
template <class Warp, class T, int HD>
DEVICE void store_attention(const AttentionParams& p, int first, const AttentionState<Warp>& state) {
  const bool pairs = p.head_dim % 2 == 0 && p.ldo % 2 == 0;
  T* const out = static_cast<T*>(p.out) + static_cast<std::ptrdiff_t>(blockIdx.y) * p.head_dim;
  float share[Warp::queries];
#pragma unroll
  for (int i = 0; i < Warp::queries; i++) share[i] = 1.F / state.total[i];
#pragma unroll
  for (int j = 0; j < HD / 8; j++) {
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      const int i = Warp::sum_query(j, e), channel = Warp::sum_channel(j, e), token = first + Warp::query(i);
      if (token >= p.tokens || channel >= p.head_dim) continue;
      T* const to = out + static_cast<std::ptrdiff_t>(token) * p.ldo + channel;
      const float a = state.sums[j][e] * share[i], b = state.sums[j][e + 1] * share[i];
      if (pairs) {
        store2(to, a, b);
      } else {
        to[0] = from_float<T>(a);
        if (channel + 1 < p.head_dim) to[1] = from_float<T>(b);
      }
    }
  }
}

template <class T, int HD>
DEVICE void attention(const AttentionParams& p) {
  using Tile = AttentionTile<T, HD>;
  using Warp = AttentionWarp<T, HD>;
  SHARED_MEMORY(T, shared);

  const int first = static_cast<int>(blockIdx.x) * attention_queries;
  const int begin = static_cast<int>(blockIdx.z) * p.keys_per_split;
  const int end = min(begin + p.keys_per_split, p.tokens);
  const std::ptrdiff_t head = static_cast<std::ptrdiff_t>(blockIdx.y) * p.tokens * HD;

  Tile::start(shared, static_cast<const T*>(p.q) + head + static_cast<std::ptrdiff_t>(first) * HD, p.tokens - first);
  cp_async_commit();
  AttentionTiles<T, HD> tiles(shared + Tile::elements, static_cast<const T*>(p.k) + head,
                              static_cast<const T*>(p.v) + head, begin, end);
  cp_async_wait<tiles.stages - 1>();
  __syncthreads();
  const Warp warp(shared);

  AttentionState<Warp> state;
#pragma unroll 1
  for (int key = begin; key < end; key += attention_keys) {
    typename Warp::Scores scores;
    warp.score(scores, tiles.next());
    if (end - key < attention_keys) {
#pragma unroll
      for (int j = 0; j < 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
          if (key + Warp::score_key(j, e) >= end) scores[j][e] = -INFINITY;
        }
      }
    }
    state.soften(scores);
    Warp::add_values(state.sums, scores, tiles.next());
  }
  state.add_lanes();

  if (gridDim.z > 1) {
    const AttentionSplits<Warp, HD> splits(p);
    splits.leave(state);
    if (!splits.last_to_arrive()) return;
    splits.merge(state);
  }
  store_attention<Warp, T, HD>(p, first, state);
}

// Blocks per multiprocessor to spare registers for. Four of HD 64 would be 128 registers, a few short; before compute
// capability 8.0 tiles pass through registers, and shared memory holds no more than two.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int attention_blocks_32 = 3, attention_blocks_64 = 2, attention_blocks_128 = 1;
#else
constexpr int attention_blocks_32 = 3, attention_blocks_64 = 3, attention_blocks_128 = 2;
#endif

#define ATTENTION(TYPE, T, HD) \
  KERNEL(attention_##TYPE##_##HD, AttentionParams, attention_threads, attention_blocks_##HD) { attention<T, HD>(p); }

ATTENTION(f32, float, 32)
ATTENTION(f32, float, 64)
ATTENTION(f32, float, 128)
ATTENTION(f16, __half, 32)
ATTENTION(f16, __half, 64)
ATTENTION(f16, __half, 128)
ATTENTION(bf16, __nv_bfloat16, 32)
ATTENTION(bf16, __nv_bfloat16, 64)
ATTENTION(bf16, __nv_bfloat16, 128)

}  // namespace flow::kernels

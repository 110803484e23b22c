// Attention in one pass over the keys (Dao, FlashAttention-2, 2023): for every head, out = softmax(q k^T) v. q is
// already scaled by log2(e) / sqrt(head_dim), so a weight is 2^(score - running row maximum). Scores never leave
// registers. When a tile of keys raises the row maximum, the accumulators are scaled down.
//
//   attention_warp.cuh   a warp's products with a tile, and which thread holds which score
//
// q, k and v are heads x tokens x HD; a head's channels are padded with zeros to 32, 64 or 128. out is tokens x heads *
// head_dim, without the padding. The operands of both products are float32, float16 or bfloat16; everything else is
// float32. The weights are rounded to the operands' type for the second product. Their sum is not rounded.
//
// The work is 4 tokens^2 heads head_dim FLOPs: 3.96 GFLOP a layer for 1605 tokens and 6 heads of 64, a ViT-S at 480 x
// 848. q, k, v and out pass through memory once, 4.9 MB in float16. k and v pass through L2 once per query block, 64
// MB: 60 FLOPs a byte. So memory is not the limit. The tensor cores take 64 mma of a warp per tile of 64 keys (HD 64).
// Between the two products a thread computes 32 powers of two and some 150 other instructions. The tensor cores would
// idle meanwhile. Three blocks per multiprocessor, 168 registers a thread up to HD 64, fill each other's gaps. Within a
// block, tiles of keys and values alternate. Their copy starts one tile (float32) or two tiles before their use.
//
// A block has 64 queries and a warp 16, so a row of scores lies within four or eight lanes. Warps synchronise only to
// pass tiles. On small maps there are too few blocks of 64 queries for a large GPU. Then the keys are split over blocks
// as well, and the last block to arrive merges the splits' results. It merges them in order, so the result does not
// depend on the order of arrival.

#include "attention_warp.cuh"

namespace flow::kernels {

/// The initial row maximum: below all scores, and finite, so that its difference from itself is zero.
constexpr float attention_initial_max = -1e30F;

/// The tiles of a split in order, keys and values alternating, through a ring buffer in shared memory.
template <class T, int HD>
class AttentionTiles {
 public:
  using Tile = AttentionTile<T, HD>;
  static constexpr int stages = attention_stages(sizeof(T));

  /// Keys [begin, end) of a head.
  DEVICE AttentionTiles(T* ring, const T* keys, const T* values, int begin, int end)
      : ring_(ring), keys_(keys), values_(values), key_(begin), end_(end) {
#pragma unroll
    for (int i = 0; i < stages - 1; i++) start_copy();
  }

  /// Returns the next tile. All warps are done with the previous one.
  DEVICE const T* next() {
    cp_async_wait<stages - 2>();
    __syncthreads();
    start_copy();
    const T* const tile = ring_ + read_stage_ * Tile::elements;
    read_stage_ = read_stage_ + 1 == stages ? 0 : read_stage_ + 1;
    return tile;
  }

 private:
  DEVICE void start_copy() {
    if (key_ < end_) {
      Tile::start_copy(ring_ + write_stage_ * Tile::elements,
                       (values_next_ ? values_ : keys_) + static_cast<std::ptrdiff_t>(key_) * HD, end_ - key_);
      if (values_next_) key_ += attention_keys;
      values_next_ = !values_next_;
      write_stage_ = write_stage_ + 1 == stages ? 0 : write_stage_ + 1;
    }
    cp_async_commit();
  }

  T* ring_;
  const T *keys_, *values_;
  int key_, end_;
  bool values_next_ = false;
  int write_stage_ = 0, read_stage_ = 0;
};

/// Online softmax of the thread's queries over the keys so far.
template <class Warp>
struct OnlineSoftmax {
  float row_max[Warp::queries];
  float row_sum[Warp::queries];  // of the weights of this thread's keys; of all keys after `reduce_row_sum`
  typename Warp::Accumulators acc;

  DEVICE OnlineSoftmax() {
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) row_max[i] = attention_initial_max, row_sum[i] = 0.F;
#pragma unroll
    for (auto& sum : acc) sum[0] = sum[1] = sum[2] = sum[3] = 0.F;
  }

  /// Replaces the scores by weights. Rescales the row sum and the accumulators to the new row maximum.
  DEVICE void update(typename Warp::Scores& scores) {
    float rescale[Warp::queries];
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) rescale[i] = row_max[i];
#pragma unroll
    for (int j = 0; j < 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        float& maximum = row_max[Warp::score_query(j, e)];
        maximum = fmaxf(maximum, scores[j][e]);
      }
    }
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) {
#pragma unroll
      for (int lane = 1; lane < Warp::lanes; lane *= 2) {
        row_max[i] = fmaxf(row_max[i], __shfl_xor_sync(0xffffffffU, row_max[i], lane));
      }
      rescale[i] = fast_exp2(rescale[i] - row_max[i]);
      row_sum[i] *= rescale[i];
    }
#pragma unroll
    for (int j = 0; j < 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int i = Warp::score_query(j, e);
        scores[j][e] = fast_exp2(scores[j][e] - row_max[i]);
        row_sum[i] += scores[j][e];
      }
    }
#pragma unroll
    for (int j = 0; j < static_cast<int>(sizeof(acc) / sizeof(acc[0])); j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) acc[j][e] *= rescale[Warp::acc_query(j, e)];
    }
  }

  DEVICE void reduce_row_sum() {
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) {
#pragma unroll
      for (int lane = 1; lane < Warp::lanes; lane *= 2) row_sum[i] += __shfl_xor_sync(0xffffffffU, row_sum[i], lane);
    }
  }
};

/// The partial results of one head and query block, which the last of its blocks merges. A split stores its
/// accumulators as the threads hold them, four consecutive floats per thread, then the row sums and the row maxima of
/// the queries.
template <class Warp, int HD>
class AttentionSplits {
 public:
  using Softmax = OnlineSoftmax<Warp>;

  DEVICE explicit AttentionSplits(const AttentionParams& p)
      : base_(p.partial + (static_cast<std::ptrdiff_t>(blockIdx.y) * gridDim.x + blockIdx.x) * floats),
        stride_(static_cast<std::ptrdiff_t>(gridDim.y) * gridDim.x * floats),
        arrived_(p.arrived + blockIdx.y * gridDim.x + blockIdx.x) {}

  DEVICE void store(const Softmax& softmax) const {
    float* const to = base_ + blockIdx.z * stride_;
#pragma unroll
    for (int j = 0; j < HD / 8; j++) {
      const float(&sum)[4] = softmax.acc[j];
      reinterpret_cast<float4*>(to)[j * attention_threads + threadIdx.x] = make_float4(sum[0], sum[1], sum[2], sum[3]);
    }
    if (lane_id() % Warp::lanes != 0) return;
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) {
      float* const query = to + attention_queries * HD + Warp::query(i);
      query[0] = softmax.row_sum[i];
      query[attention_queries] = softmax.row_max[i];
    }
  }

  /// Whether this block is the last to arrive; the same in all threads. The last arrival resets the counter to zero.
  DEVICE bool last_to_arrive() const {
    __threadfence();
    __syncthreads();
    const bool last = threadIdx.x == 0 && atomicInc(arrived_, gridDim.z - 1) == gridDim.z - 1;
    const bool all = __syncthreads_or(last) != 0;
    __threadfence();
    return all;
  }

  DEVICE void merge(Softmax& softmax) const {
    const int splits = static_cast<int>(gridDim.z);
    softmax = Softmax();
#pragma unroll 1
    for (int split = 0; split < splits; split++) {
#pragma unroll
      for (int i = 0; i < Warp::queries; i++) {
        softmax.row_max[i] = fmaxf(softmax.row_max[i], queries(split)[attention_queries + Warp::query(i)]);
      }
    }
#pragma unroll 1
    for (int split = 0; split < splits; split++) {
      float rescale[Warp::queries];
#pragma unroll
      for (int i = 0; i < Warp::queries; i++) {
        const float* const query = queries(split) + Warp::query(i);
        rescale[i] = fast_exp2(query[attention_queries] - softmax.row_max[i]);
        softmax.row_sum[i] += query[0] * rescale[i];
      }
      const float4* const from = reinterpret_cast<const float4*>(base_ + split * stride_);
#pragma unroll
      for (int j = 0; j < HD / 8; j++) {
        const float4 sum = from[j * attention_threads + threadIdx.x];
        softmax.acc[j][0] += sum.x * rescale[Warp::acc_query(j, 0)];
        softmax.acc[j][1] += sum.y * rescale[Warp::acc_query(j, 1)];
        softmax.acc[j][2] += sum.z * rescale[Warp::acc_query(j, 2)];
        softmax.acc[j][3] += sum.w * rescale[Warp::acc_query(j, 3)];
      }
    }
  }

 private:
  static constexpr int floats = attention_queries * attention_partial_floats(HD);

  DEVICE const float* queries(int split) const { return base_ + split * stride_ + attention_queries * HD; }

  float* base_;
  std::ptrdiff_t stride_;  // between two splits
  unsigned* arrived_;
};

/// The image whose head this block computes.
DEVICE int image_of_block(const AttentionParams& p) { return static_cast<int>(blockIdx.y) >= p.heads ? 1 : 0; }

/// Stores the weighted means of the queries from `first` on, without the padding. A mean of values in range leaves the
/// range of float16 only by the rounding of weights, so it saturates without a report.
template <class Warp, class T, int HD>
DEVICE void store_attention(const AttentionParams& p, int first, const OnlineSoftmax<Warp>& softmax) {
  const bool pairs = p.head_dim % 2 == 0 && p.ldo % 2 == 0;
  const int image = image_of_block(p), head = static_cast<int>(blockIdx.y) - image * p.heads;
  T* const out = static_cast<T*>(p.out) + static_cast<std::ptrdiff_t>(image) * p.tokens * p.ldo + head * p.head_dim;
  float inverse_sum[Warp::queries];
#pragma unroll
  for (int i = 0; i < Warp::queries; i++) inverse_sum[i] = 1.F / softmax.row_sum[i];
#pragma unroll
  for (int j = 0; j < HD / 8; j++) {
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      const int i = Warp::acc_query(j, e), channel = Warp::acc_channel(j, e), token = first + Warp::query(i);
      if (token >= p.tokens || channel >= p.head_dim) continue;
      T* const to = out + static_cast<std::ptrdiff_t>(token) * p.ldo + channel;
      const float a = softmax.acc[j][e] * inverse_sum[i], b = softmax.acc[j][e + 1] * inverse_sum[i];
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
  // blockIdx.y counts the heads of all images. Between two images lie the k and v of the first: as many heads twice.
  const std::ptrdiff_t head =
      (static_cast<std::ptrdiff_t>(blockIdx.y) + 2 * image_of_block(p) * p.heads) * p.tokens * HD;

  Tile::start_copy(shared, static_cast<const T*>(p.q) + head + static_cast<std::ptrdiff_t>(first) * HD,
                   p.tokens - first);
  cp_async_commit();
  AttentionTiles<T, HD> tiles(shared + Tile::elements, static_cast<const T*>(p.k) + head,
                              static_cast<const T*>(p.v) + head, begin, end);
  cp_async_wait<tiles.stages - 1>();
  __syncthreads();
  const Warp warp(shared);

  OnlineSoftmax<Warp> softmax;
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
    softmax.update(scores);
    Warp::add_values(softmax.acc, scores, tiles.next());
  }
  softmax.reduce_row_sum();

  if (gridDim.z > 1) {
    const AttentionSplits<Warp, HD> splits(p);
    splits.store(softmax);
    if (!splits.last_to_arrive()) return;
    splits.merge(softmax);
  }
  store_attention<Warp, T, HD>(p, first, softmax);
}

// Blocks per multiprocessor that the registers must suffice for. Four of HD 64 would leave 128 registers a thread,
// slightly too few. Before compute capability 8.0 tiles pass through registers, and shared memory holds at most two
// blocks.
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

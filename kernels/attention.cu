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
// 848. q, k, v and out pass through memory once, 4.9 MB in float16: memory is not the limit. k and v pass through L2
// once per query block: 64 MB in blocks of 64 queries, 32 MB in blocks of 128, 17 MB in blocks of 256. A large GPU's L2
// takes longer for 64 MB than its tensor cores for the products.
//
// A warp has two fragments of 16 queries, which share every fragment of k and v that it reads from shared memory: 128
// bytes an mma, and 16 or 32 more for the copies of the tiles. One fragment a warp would read 256. Two fragments hold
// 64 accumulators, 64 scores and 32 registers of queries a thread (HD 64), so eight warps fill a multiprocessor's
// registers. Between the two products a thread computes 64 powers of two and some 300 other instructions; the other
// warps fill that gap. Two fragments of HD 128 would hold 256 registers of these alone, so it has one. So has
// float32 (attention_warp.cuh says what limits it).
//
// Small maps have too few blocks for a large GPU. They take blocks of 64 queries, whose four warps have one fragment
// each. Furthermore the keys are split over blocks, and the last block to arrive merges the splits' results. It merges
// them in order, so the result does not depend on the order of arrival. The host chooses both.
//
// A row of scores lies within four or eight lanes. Warps synchronise only to pass tiles. Tiles of keys and values
// alternate. Their copy starts one tile (float32) or two tiles before their use.

#include "attention_warp.cuh"

namespace flow::kernels {

/// The initial row maximum: below all scores, and finite, so that its difference from itself is zero.
constexpr float attention_initial_max = -1e30F;

/// The tiles of a split in order, keys and values alternating, through a ring buffer in shared memory.
template <class T, int HD, int Threads>
class AttentionTiles {
 public:
  using Tile = AttentionTile<T, HD>;
  static constexpr int stages = Tile::stages;

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
      Tile::template start_copy<attention_keys, Threads>(
          ring_ + write_stage_ * Tile::elements,
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
  static constexpr int score_tiles = std::extent_v<typename Warp::Scores>;
  static constexpr int acc_tiles = std::extent_v<typename Warp::Accumulators>;

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
    for (int j = 0; j < score_tiles; j++) {
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
    for (int j = 0; j < score_tiles; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int i = Warp::score_query(j, e);
        scores[j][e] = fast_exp2(scores[j][e] - row_max[i]);
        row_sum[i] += scores[j][e];
      }
    }
#pragma unroll
    for (int j = 0; j < acc_tiles; j++) {
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
template <class Warp, int HD, AttentionBlock block>
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
    for (int j = 0; j < Softmax::acc_tiles; j++) {
      const float(&sum)[4] = softmax.acc[j];
      reinterpret_cast<float4*>(to)[j * block.threads + threadIdx.x] = make_float4(sum[0], sum[1], sum[2], sum[3]);
    }
    if (lane_id() % Warp::lanes != 0) return;
#pragma unroll
    for (int i = 0; i < Warp::queries; i++) {
      float* const query = to + block.queries * HD + Warp::query(i);
      query[0] = softmax.row_sum[i];
      query[block.queries] = softmax.row_max[i];
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
        softmax.row_max[i] = fmaxf(softmax.row_max[i], queries(split)[block.queries + Warp::query(i)]);
      }
    }
#pragma unroll 1
    for (int split = 0; split < splits; split++) {
      float rescale[Warp::queries];
#pragma unroll
      for (int i = 0; i < Warp::queries; i++) {
        const float* const query = queries(split) + Warp::query(i);
        rescale[i] = fast_exp2(query[block.queries] - softmax.row_max[i]);
        softmax.row_sum[i] += query[0] * rescale[i];
      }
      const float4* const from = reinterpret_cast<const float4*>(base_ + split * stride_);
#pragma unroll
      for (int j = 0; j < Softmax::acc_tiles; j++) {
        const float4 sum = from[j * block.threads + threadIdx.x];
        softmax.acc[j][0] += sum.x * rescale[Warp::acc_query(j, 0)];
        softmax.acc[j][1] += sum.y * rescale[Warp::acc_query(j, 1)];
        softmax.acc[j][2] += sum.z * rescale[Warp::acc_query(j, 2)];
        softmax.acc[j][3] += sum.w * rescale[Warp::acc_query(j, 3)];
      }
    }
  }

 private:
  static constexpr int floats = block.queries * attention_partial_floats(HD);

  DEVICE const float* queries(int split) const { return base_ + split * stride_ + block.queries * HD; }

  float* base_;
  std::ptrdiff_t stride_;  // between two splits
  unsigned* arrived_;
};

/// The image whose head this block computes.
DEVICE int image_of_block(const AttentionParams& p) { return static_cast<int>(blockIdx.y) >= p.heads ? 1 : 0; }

/// Stores the weighted means of the queries from `first` on, without the padding. A mean of values in range leaves the
/// range of float16 only by the rounding of weights, so it saturates without a report.
template <class Warp, class T>
DEVICE void store_attention(const AttentionParams& p, int first, const OnlineSoftmax<Warp>& softmax) {
  const bool pairs = p.head_dim % 2 == 0 && p.ldo % 2 == 0;
  const int image = image_of_block(p), head = static_cast<int>(blockIdx.y) - image * p.heads;
  T* const out = static_cast<T*>(p.out) + static_cast<std::ptrdiff_t>(image) * p.tokens * p.ldo + head * p.head_dim;
  float inverse_sum[Warp::queries];
#pragma unroll
  for (int i = 0; i < Warp::queries; i++) inverse_sum[i] = 1.F / softmax.row_sum[i];
#pragma unroll
  for (int j = 0; j < OnlineSoftmax<Warp>::acc_tiles; j++) {
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

template <class T, int HD, AttentionBlock block>
DEVICE void attention(const AttentionParams& p) {
  using Tile = AttentionTile<T, HD>;
  using Warp = AttentionWarp<T, HD, block.queries / (block.threads / warp_size) / 16>;
  static_assert(Tile::queries_at >= (Tile::stages - (Warp::keeps_queries ? 1 : 0)) * Tile::elements);
  SHARED_MEMORY(T, shared);

  const int first = static_cast<int>(blockIdx.x) * block.queries;
  const int begin = static_cast<int>(blockIdx.z) * p.keys_per_split;
  const int end = min(begin + p.keys_per_split, p.tokens);
  // blockIdx.y counts the heads of all images. Between two images lie the k and v of the first: as many heads twice.
  const std::ptrdiff_t head =
      (static_cast<std::ptrdiff_t>(blockIdx.y) + 2 * image_of_block(p) * p.heads) * p.tokens * HD;

  T* const queries = shared + Tile::queries_at;
  Tile::template start_copy<block.queries, block.threads>(
      queries, static_cast<const T*>(p.q) + head + static_cast<std::ptrdiff_t>(first) * HD, p.tokens - first);
  cp_async_commit();
  AttentionTiles<T, HD, block.threads> tiles(shared, static_cast<const T*>(p.k) + head,
                                             static_cast<const T*>(p.v) + head, begin, end);
  cp_async_wait<tiles.stages - 1>();
  __syncthreads();
  const Warp warp(queries);

  OnlineSoftmax<Warp> softmax;
#pragma unroll 1
  for (int key = begin; key < end; key += attention_keys) {
    typename Warp::Scores scores;
    warp.score(scores, tiles.next());
    if (end - key < attention_keys) {
#pragma unroll
      for (int j = 0; j < softmax.score_tiles; j++) {
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
    const AttentionSplits<Warp, HD, block> splits(p);
    splits.store(softmax);
    if (!splits.last_to_arrive()) return;
    splits.merge(softmax);
  }
  store_attention<Warp, T>(p, first, softmax);
}

// Blocks per multiprocessor that the registers must suffice for, by HD and queries. A thread of two fragments and HD 64
// holds 64 accumulators, 64 scores and 32 registers of queries, so it gets 255.
#define ATTENTION(TYPE, T, HD, INDEX, QUERIES, BLOCKS)                                                    \
  static_assert(attention_blocks[INDEX].queries == QUERIES);                                              \
  KERNEL(attention_##TYPE##_##HD##_##QUERIES, AttentionParams, attention_blocks[INDEX].threads, BLOCKS) { \
    attention<T, HD, attention_blocks[INDEX]>(p);                                                         \
  }

// Before compute capability 8.0 tiles pass through registers, and shared memory holds at most two blocks.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int blocks_32 = 3, blocks_64 = 2, blocks_128 = 1;
#else
constexpr int blocks_32 = 3, blocks_64 = 3, blocks_128 = 2;
#endif

ATTENTION(f32, float, 32, 2, 64, blocks_32)
ATTENTION(f32, float, 64, 2, 64, blocks_64)
ATTENTION(f32, float, 128, 2, 64, blocks_128)

#define ATTENTIONS(TYPE, T)                \
  ATTENTION(TYPE, T, 32, 0, 256, 1)        \
  ATTENTION(TYPE, T, 32, 1, 128, 2)        \
  ATTENTION(TYPE, T, 32, 2, 64, blocks_32) \
  ATTENTION(TYPE, T, 64, 0, 256, 1)        \
  ATTENTION(TYPE, T, 64, 1, 128, 2)        \
  ATTENTION(TYPE, T, 64, 2, 64, blocks_64) \
  ATTENTION(TYPE, T, 128, 2, 64, blocks_128)

ATTENTIONS(f16, __half)
ATTENTIONS(bf16, __nv_bfloat16)

}  // namespace flow::kernels

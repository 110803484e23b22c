// Attention in one pass over the keys (Dao et al., FlashAttention, 2022). A block of queries is multiplied with the
// keys in blocks of `key_block`. Scratch holds the scores of that block only. The running maximum and sum of each
// query's softmax rescale the accumulators of earlier blocks. Both products use the GEMM's micro-kernel: q times panels
// of keys, then the weights times panels of values. Scores are scaled by log2(e), so that the softmax uses powers of
// two.

template <class Isa>
struct Attention {
  using G = Gemm<Isa>;
  using S = typename G::S;
  using V = typename S::V;
  static constexpr int W = G::W, MR = G::MR, NR = G::NR;
  static constexpr int max_key_block = 384;
  static constexpr int score_stride = max_key_block + 16;  // not a multiple of a page: rows must not share cache sets

  /// Rows of scratch, rounded up to whole tiles and vectors: stores need not check where the queries end.
  static int scratch_rows(const AttentionJob& job) { return (job.block + MR * W - 1) / (MR * W) * (MR * W); }

  static std::size_t scratch_floats(const AttentionJob& job) {
    return static_cast<std::size_t>(scratch_rows(job)) * (score_stride + job.qkv.channel_panels * NR + 3);
  }

  static FLOW_INLINE float reduce_max(const float* score, int count, float initial) {
    const int whole = count / (2 * W) * (2 * W);
    V max0 = S::broadcast(initial), max1 = max0;
    for (int c = 0; c < whole; c += 2 * W) {
      max0 = S::max(max0, S::load(score + c));
      max1 = S::max(max1, S::load(score + c + W));
    }
    float maximum = S::reduce_max(S::max(max0, max1));
    for (int c = whole; c < count; c++) maximum = score[c] > maximum ? score[c] : maximum;
    return maximum;
  }

  /// Replaces a row of scores by 2^(score - maximum) and returns their sum.
  static FLOW_INLINE float exponentiate(float* score, int count, float maximum) {
    const int whole = count / (2 * W) * (2 * W);
    V sum0{}, sum1{};
    for (int c = 0; c < whole; c += 2 * W) {
      const V e0 = S::exp2(S::load(score + c) - maximum), e1 = S::exp2(S::load(score + c + W) - maximum);
      S::store(score + c, e0);
      S::store(score + c + W, e1);
      sum0 += e0;
      sum1 += e1;
    }
    float sum = S::reduce_add(sum0 + sum1);
    for (int c = whole; c < count; c += W) {
      const int lanes = count - c < W ? count - c : W;
      const V e = S::exp2(S::load_partial(score + c, lanes) - maximum);
      for (int lane = 0; lane < lanes; lane++) sum += score[c + lane] = e[lane];
    }
    return sum;
  }

  static void run(const AttentionJob& job, int item, float* scratch) {
    const QkvLayout& l = job.qkv;
    const int hd = l.shape.head_dim, tokens = l.shape.tokens;
    const int head = item / job.blocks;
    const int t0 = item % job.blocks * job.block, t1 = t0 + job.block < tokens ? t0 + job.block : tokens;
    const int count = t1 - t0;
    const float* q = l.q + static_cast<std::ptrdiff_t>(head) * tokens * hd;
    const float* k = l.k + static_cast<std::ptrdiff_t>(head) * l.token_panels * hd * NR;
    const float* v = l.v + static_cast<std::ptrdiff_t>(head) * l.channel_panels * tokens * NR;

    const int capacity = scratch_rows(job), acc_stride = l.channel_panels * NR;
    float* scores = scratch;
    float* acc = scores + static_cast<std::ptrdiff_t>(capacity) * score_stride;
    float* row_max = acc + static_cast<std::ptrdiff_t>(capacity) * acc_stride;
    float* row_sum = row_max + capacity;
    float* rescale = row_sum + capacity;
    for (int i = 0; i < capacity; i++) row_max[i] = -1e30f, row_sum[i] = 0, rescale[i] = 0;

    const int key_blocks = (tokens + max_key_block - 1) / max_key_block;
    const int key_block = ((tokens + key_blocks - 1) / key_blocks + NR - 1) / NR * NR;
    for (int key = 0; key < tokens; key += key_block) {
      const int keys = key + key_block < tokens ? key_block : tokens - key;
      for (int c = 0; c < keys; c += NR) {
        const float* panel = k + static_cast<std::ptrdiff_t>((key + c) / NR) * hd * NR;
        for (int i = 0; i < count; i += MR) {
          // Rows past the last query belong to the next head, or to k and v, which follow q in the same block
          // (QkvLayout). Their scores are never read.
          const typename G::Strided rows{q + static_cast<std::ptrdiff_t>(t0 + i) * hd, hd};
          typename G::Tile tile{};
          G::multiply(rows, panel, hd, tile);
          float* to = scores + i * score_stride + c;
#pragma GCC unroll 16
          for (int r = 0; r < MR; r++) {
            S::store(to + r * score_stride, tile.acc[r][0]);
            S::store(to + r * score_stride + W, tile.acc[r][1]);
          }
        }
      }
      for (int i = 0; i < count; i++) {
        rescale[i] = row_max[i];
        row_max[i] = reduce_max(scores + i * score_stride, keys, row_max[i]);
      }
      for (int i = 0; i < capacity; i += W) {
        S::store(rescale + i, S::exp2(S::load(rescale + i) - S::load(row_max + i)));
      }
      for (int i = 0; i < count; i++) {
        row_sum[i] = row_sum[i] * rescale[i] + exponentiate(scores + i * score_stride, keys, row_max[i]);
      }
      for (int p = 0; p < l.channel_panels; p++) {
        const float* panel = v + (static_cast<std::ptrdiff_t>(p) * tokens + key) * NR;
        for (int i = 0; i < count; i += MR) {
          const typename G::Strided rows{scores + i * score_stride, score_stride};
          float* acc_panel = acc + i * acc_stride + p * NR;
          typename G::Tile tile{};
          if (key > 0) {
#pragma GCC unroll 16
            for (int r = 0; r < MR; r++) {
              tile.acc[r][0] = S::load(acc_panel + r * acc_stride) * rescale[i + r];
              tile.acc[r][1] = S::load(acc_panel + r * acc_stride + W) * rescale[i + r];
            }
          }
          G::multiply(rows, panel, keys, tile);
#pragma GCC unroll 16
          for (int r = 0; r < MR; r++) {
            S::store(acc_panel + r * acc_stride, tile.acc[r][0]);
            S::store(acc_panel + r * acc_stride + W, tile.acc[r][1]);
          }
        }
      }
    }

    for (int i = 0; i < count; i++) {
      float* out = job.out + static_cast<std::ptrdiff_t>(t0 + i) * job.ldo + head * hd;
      const float* from = acc + i * acc_stride;
      const float inverse_sum = 1.f / row_sum[i];
      for (int c = 0; c < hd; c += W) {
        G::store_lanes(out + c, S::load(from + c) * inverse_sum, hd - c < W ? hd - c : W);
      }
    }
  }
};

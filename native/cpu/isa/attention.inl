// Attention in one pass over the keys (Dao et al., FlashAttention, 2022): a block of queries meets the keys in blocks
// of `key_block`; scores live in scratch for that block only, and the running maximum and sum of each query's softmax
// rescale what was gathered before. Both products are the GEMM's micro-kernel: q against panels of keys, then the
// weights against panels of values. Scores are in units of log2(e), so that the softmax is a power of two.

template <class Isa>
struct Attention {
  using G = Gemm<Isa>;
  using S = typename G::S;
  using V = typename S::V;
  static constexpr int W = G::W, MR = G::MR, NR = G::NR;
  static constexpr int max_key_block = 384;
  static constexpr int score_stride = max_key_block + 16;  // not a multiple of a page: rows must not share cache sets

  /// Rows of scratch: whole tiles and vectors, so that they are stored without looking where the queries end.
  static int rows_of(const AttentionJob& job) { return (job.block + MR * W - 1) / (MR * W) * (MR * W); }

  static std::size_t scratch_floats(const AttentionJob& job) {
    return static_cast<std::size_t>(rows_of(job)) * (score_stride + job.qkv.channel_panels * NR + 3);
  }

  static FLOW_INLINE float largest(const float* score, int count, float so_far) {
    const int whole = count / (2 * W) * (2 * W);
    V top0 = S::set(so_far), top1 = top0;
    for (int c = 0; c < whole; c += 2 * W) {
      top0 = S::max(top0, S::load(score + c));
      top1 = S::max(top1, S::load(score + c + W));
    }
    float high = S::largest(S::max(top0, top1));
    for (int c = whole; c < count; c++) high = score[c] > high ? score[c] : high;
    return high;
  }

  /// Turns a row of scores into 2^(score - maximum) and returns their sum.
  static FLOW_INLINE float soften(float* score, int count, float maximum) {
    const int whole = count / (2 * W) * (2 * W);
    V total0{}, total1{};
    for (int c = 0; c < whole; c += 2 * W) {
      const V e0 = S::exp2(S::load(score + c) - maximum), e1 = S::exp2(S::load(score + c + W) - maximum);
      S::store(score + c, e0);
      S::store(score + c + W, e1);
      total0 += e0;
      total1 += e1;
    }
    float sum = S::sum(total0 + total1);
    for (int c = whole; c < count; c += W) {
      const int lanes = count - c < W ? count - c : W;
      const V e = S::exp2(S::load_part(score + c, lanes) - maximum);
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

    const int capacity = rows_of(job), gathered_stride = l.channel_panels * NR;
    float* scores = scratch;
    float* gathered = scores + static_cast<std::ptrdiff_t>(capacity) * score_stride;
    float* maximum = gathered + static_cast<std::ptrdiff_t>(capacity) * gathered_stride;
    float* sum = maximum + capacity;
    float* rescale = sum + capacity;
    for (int i = 0; i < capacity; i++) maximum[i] = -1e30f, sum[i] = 0, rescale[i] = 0;

    const int key_blocks = (tokens + max_key_block - 1) / max_key_block;
    const int key_block = ((tokens + key_blocks - 1) / key_blocks + NR - 1) / NR * NR;
    for (int key = 0; key < tokens; key += key_block) {
      const int keys = key + key_block < tokens ? key_block : tokens - key;
      for (int c = 0; c < keys; c += NR) {
        const float* panel = k + static_cast<std::ptrdiff_t>((key + c) / NR) * hd * NR;
        for (int i = 0; i < count; i += MR) {
          // Rows past the last query are of the next head, or of k and v behind q in one block (QkvLayout): their
          // scores are never looked at.
          const typename G::Strided rows{q + static_cast<std::ptrdiff_t>(t0 + i) * hd, hd};
          typename G::Tile tile{};
          G::multiply(rows, panel, hd, tile);
          float* to = scores + i * score_stride + c;
#pragma GCC unroll 16
          for (int r = 0; r < MR; r++) {
            S::store(to + r * score_stride, tile.sum[r][0]);
            S::store(to + r * score_stride + W, tile.sum[r][1]);
          }
        }
      }
      for (int i = 0; i < count; i++) {
        rescale[i] = maximum[i];
        maximum[i] = largest(scores + i * score_stride, keys, maximum[i]);
      }
      for (int i = 0; i < capacity; i += W) {
        S::store(rescale + i, S::exp2(S::load(rescale + i) - S::load(maximum + i)));
      }
      for (int i = 0; i < count; i++) {
        sum[i] = sum[i] * rescale[i] + soften(scores + i * score_stride, keys, maximum[i]);
      }
      for (int p = 0; p < l.channel_panels; p++) {
        const float* panel = v + (static_cast<std::ptrdiff_t>(p) * tokens + key) * NR;
        for (int i = 0; i < count; i += MR) {
          const typename G::Strided rows{scores + i * score_stride, score_stride};
          float* sums = gathered + i * gathered_stride + p * NR;
          typename G::Tile tile{};
          if (key > 0) {
#pragma GCC unroll 16
            for (int r = 0; r < MR; r++) {
              tile.sum[r][0] = S::load(sums + r * gathered_stride) * rescale[i + r];
              tile.sum[r][1] = S::load(sums + r * gathered_stride + W) * rescale[i + r];
            }
          }
          G::multiply(rows, panel, keys, tile);
#pragma GCC unroll 16
          for (int r = 0; r < MR; r++) {
            S::store(sums + r * gathered_stride, tile.sum[r][0]);
            S::store(sums + r * gathered_stride + W, tile.sum[r][1]);
          }
        }
      }
    }

    for (int i = 0; i < count; i++) {
      float* out = job.out + static_cast<std::ptrdiff_t>(t0 + i) * job.ldo + head * hd;
      const float* from = gathered + i * gathered_stride;
      const float share = 1.f / sum[i];
      for (int c = 0; c < hd; c += W) {
        G::store_lanes(out + c, S::load(from + c) * share, hd - c < W ? hd - c : W);
      }
    }
  }
};

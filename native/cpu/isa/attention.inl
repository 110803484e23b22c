// Attention in one pass over the keys (Dao et al., FlashAttention, 2022): a block of queries meets the keys in blocks
// of `key_block`; scores live in scratch for that block only, and the running maximum and sum of each query's softmax
// rescale what was gathered before. Both products are the GEMM's micro-kernel: q against panels of keys, then the weights
// against panels of values. Scores are in units of log2(e), so that the softmax is a power of two.

template <class Isa>
struct Attention {
  using G = Gemm<Isa>;
  using S = typename G::S;
  using V = typename S::V;
  static constexpr int W = G::W, MR = G::MR, NR = G::NR;
  static constexpr int key_block = 384;
  static constexpr int score_stride = key_block + 16;  // not a multiple of a page: rows must not share cache sets

  static std::size_t scratch_floats(const AttentionJob& job) {
    return static_cast<std::size_t>(job.block) * (score_stride + job.qkv.channel_panels * NR + 3);
  }

  /// Turns a row of `count` scores into 2^(score - maximum), updates the row's maximum and sum, and returns what earlier sums must be
  /// multiplied with.
  static FLOW_INLINE float soften(float* score, int count, float& maximum, float& sum) {
    const int whole = count / W * W;
    V top = S::set(maximum);
    for (int c = 0; c < whole; c += W) top = S::max(top, S::load(score + c));
    float high = S::largest(top);
    for (int c = whole; c < count; c++) high = score[c] > high ? score[c] : high;
    V total{};
    for (int c = 0; c < whole; c += W) {
      const V e = S::exp2(S::load(score + c) - high);
      S::store(score + c, e);
      total += e;
    }
    float added = S::sum(total);
    if (whole < count) {
      float last[W];
      S::store(last, S::exp2(S::load_part(score + whole, count - whole) - high));
      for (int c = whole; c < count; c++) added += score[c] = last[c - whole];
    }
    const float rescale = S::exp2(S::set(maximum - high))[0];
    sum = sum * rescale + added;
    maximum = high;
    return rescale;
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

    float* scores = scratch;
    const int gathered_stride = l.channel_panels * NR;
    float* gathered = scores + static_cast<std::ptrdiff_t>(job.block) * score_stride;
    float* maximum = gathered + static_cast<std::ptrdiff_t>(job.block) * gathered_stride;
    float* sum = maximum + job.block;
    float* rescale = sum + job.block;
    for (int i = 0; i < count; i++) maximum[i] = -1e30f, sum[i] = 0;

    for (int key = 0; key < tokens; key += key_block) {
      const int keys = key + key_block < tokens ? key_block : tokens - key;
      for (int c = 0; c < keys; c += NR) {
        const float* panel = k + static_cast<std::ptrdiff_t>((key + c) / NR) * hd * NR;
        for (int i = 0; i < count; i += MR) {
          const float* rows[MR];
          for (int r = 0; r < MR; r++) {
            rows[r] = q + static_cast<std::ptrdiff_t>(t0 + (i + r < count ? i + r : count - 1)) * hd;
          }
          typename G::Tile tile{};
          G::multiply(rows, panel, hd, tile);
          for (int r = 0; r < MR && i + r < count; r++) {
            S::store(scores + (i + r) * score_stride + c, tile.sum[r][0]);
            S::store(scores + (i + r) * score_stride + c + W, tile.sum[r][1]);
          }
        }
      }
      for (int i = 0; i < count; i++) rescale[i] = soften(scores + i * score_stride, keys, maximum[i], sum[i]);
      for (int p = 0; p < l.channel_panels; p++) {
        const float* panel = v + (static_cast<std::ptrdiff_t>(p) * tokens + key) * NR;
        for (int i = 0; i < count; i += MR) {
          const float* rows[MR];
          typename G::Tile tile{};
          for (int r = 0; r < MR; r++) {
            const int row = i + r < count ? i + r : count - 1;
            rows[r] = scores + row * score_stride;
            if (key > 0) {
              const float* before = gathered + row * gathered_stride + p * NR;
              tile.sum[r][0] = S::load(before) * rescale[row];
              tile.sum[r][1] = S::load(before + W) * rescale[row];
            }
          }
          G::multiply(rows, panel, keys, tile);
          for (int r = 0; r < MR && i + r < count; r++) {
            float* after = gathered + (i + r) * gathered_stride + p * NR;
            S::store(after, tile.sum[r][0]);
            S::store(after + W, tile.sum[r][1]);
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

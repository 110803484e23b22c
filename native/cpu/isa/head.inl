// The flow head's stages that are not a GEMM. Each streams its input once. Together they take a few percent of a
// frame's time.

/// 3x3 depthwise convolution: 9 multiply-adds per element, so loads limit it.
template <int W>
void depthwise(const DepthwiseJob& job, int y) {
  using S = Simd<W>;
  using V = typename S::V;
  const int width = job.grid.width;
  for (int x = 0; x < width; x++) {
    int tap[9], pixel[9], taps = 0;
    for (int t = 0; t < 9; t++) {
      const int ty = y + t / 3 - 1, tx = x + t % 3 - 1;
      if (ty < 0 || ty >= job.grid.height || tx < 0 || tx >= width) continue;
      tap[taps] = t;
      pixel[taps++] = ty * width + tx;
    }
    float* out = job.out + static_cast<std::ptrdiff_t>(y * width + x) * job.ldo;
    for (int c = 0; c < job.cols; c += W) {
      V sum{};
      for (int t = 0; t < taps; t++) {
        sum += S::load(job.in + static_cast<std::ptrdiff_t>(pixel[t]) * job.ldi + c) *
               S::load(job.weights + tap[t] * job.ldw + c);
      }
      if (job.scale) sum *= S::load(job.scale + c);
      S::store(out + c, sum);
    }
    for (int e = 0; e < job.extra_cols; e++) {
      float sum = 0;
      for (int t = 0; t < taps; t++) {
        sum += job.extra[static_cast<std::ptrdiff_t>(pixel[t]) * job.ld_extra + e] *
               job.weights[tap[t] * job.ldw + job.cols + e];
      }
      out[job.cols + e] = sum;
    }
  }
}

/// Dot products of one pixel's features with those of N consecutive pixels. Eight accumulators grow in parallel, for
/// different pixels or different channels. A multiply-add takes some four cycles, and two can begin in each cycle.
template <int W, int N>
FLOW_INLINE void dot_products(const float* a, const float* b, int ldb, int cols, float scale, float* out) {
  using S = Simd<W>;
  using V = typename S::V;
  constexpr int chains = 8 / N;
  V acc[N][chains]{};
  int c = 0;
  for (; c + chains * W <= cols; c += chains * W) {
#pragma GCC unroll 8
    for (int k = 0; k < chains; k++) {
      const V lanes = S::load(a + c + k * W);
#pragma GCC unroll 8
      for (int n = 0; n < N; n++) acc[n][k] += lanes * S::load(b + n * ldb + c + k * W);
    }
  }
  for (; c + W <= cols; c += W) {
    for (int n = 0; n < N; n++) acc[n][0] += S::load(a + c) * S::load(b + n * ldb + c);
  }
#pragma GCC unroll 8
  for (int n = 0; n < N; n++) {
    V all = acc[n][0];
    for (int k = 1; k < chains; k++) all += acc[n][k];
    float dot = S::reduce_add(all);
    for (int tail = c; tail < cols; tail++) dot += a[tail] * b[n * ldb + tail];
    out[n] = dot * scale;
  }
}

/// `count` dot products: 8 at a time, then 4, 2 and 1 for the rest.
template <int W, int N = 8>
FLOW_INLINE void dot_row(const float* a, const float* b, int ldb, int count, int cols, float scale, float* out) {
  for (; count >= N; count -= N, b += N * ldb, out += N) dot_products<W, N>(a, b, ldb, cols, scale, out);
  if constexpr (N > 1) dot_row<W, N / 2>(a, b, ldb, count, cols, scale, out);
}

/// A row of the cost volume, beside its two features and their difference. Each pixel takes (2r+1)^2 dot products of
/// length C. The window's rows of b stay in the cache from one pixel to the next.
template <int W>
void correlation(const CorrelationJob& job, int y) {
  const int width = job.grid.width, r = job.radius, side = 2 * r + 1, cols = job.cols;
  const float scale = 1.f / __builtin_sqrtf(static_cast<float>(cols));
  for (int x = 0; x < width; x++) {
    const float* a = job.a + static_cast<std::ptrdiff_t>(y * width + x) * job.lda;
    const float* b_centre = job.b + static_cast<std::ptrdiff_t>(y * width + x) * job.ldb;
    float* out = job.out + static_cast<std::ptrdiff_t>(y * width + x) * job.ldo;
    for (int c = 0; c < cols; c++) {
      out[c] = a[c];
      out[cols + c] = b_centre[c];
      out[2 * cols + c] = __builtin_fabsf(a[c] - b_centre[c]);
    }
    const int first = x < r ? 0 : x - r, last = x + r < width ? x + r : width - 1;
    float* cost = out + 3 * cols;
    for (int by = y - r; by <= y + r; by++, cost += side) {
      for (int dx = 0; dx < side; dx++) cost[dx] = 0;
      if (by < 0 || by >= job.grid.height) continue;
      const float* b = job.b + static_cast<std::ptrdiff_t>(by * width + first) * job.ldb;
      dot_row<W>(a, b, job.ldb, last - first + 1, cols, scale, cost + first - (x - r));
    }
  }
}

/// Convex upsampling of a block of pixels. One GEMM writes the block's mask logits (block x 9*up*up) to scratch. They
/// are read while they are still in L2.
template <class Isa>
struct Upsample {
  using G = Gemm<Isa>;
  using S = typename G::S;
  using V = typename S::V;
  static constexpr int W = G::W;

  static int logits_stride(const UpsampleJob& job) { return job.gemm.weights.count * G::NR + 16; }
  static int padded_subpixels(const UpsampleJob& job) { return (job.up * job.up + W - 1) / W * W; }

  static std::size_t scratch_floats(const UpsampleJob& job) {
    return static_cast<std::size_t>(job.gemm.block) * logits_stride(job) +
           2 * static_cast<std::size_t>(padded_subpixels(job));
  }

  static void run(const UpsampleJob& job, int item, float* scratch) {
    const int stride = logits_stride(job), up = job.up, subpixels = up * up;
    const int m0 = item * job.gemm.block;
    const int m1 = m0 + job.gemm.block < job.gemm.m ? m0 + job.gemm.block : job.gemm.m;
    float* logits = scratch;
    float* flow_x = logits + static_cast<std::ptrdiff_t>(job.gemm.block) * stride;
    float* flow_y = flow_x + padded_subpixels(job);

    GemmJob gemm = job.gemm;
    gemm.ldo = stride;
    gemm.out = logits;
    gemm.first_row = m0;
    G::gemm(gemm, item);

    const int height = gemm.grid.height, width = gemm.grid.width;
    for (int m = m0; m < m1; m++) {
      const int y = m / width, x = m % width;
      float neighbour_x[9], neighbour_y[9];
      for (int t = 0; t < 9; t++) {
        const int ny = y + t / 3 - 1, nx = x + t % 3 - 1;
        const bool inside = ny >= 0 && ny < height && nx >= 0 && nx < width;
        const float* from = inside ? job.flow + static_cast<std::ptrdiff_t>(ny * width + nx) * job.ld_flow : nullptr;
        neighbour_x[t] = from ? from[0] * static_cast<float>(up) : 0.f;
        neighbour_y[t] = from ? from[1] * static_cast<float>(up) : 0.f;
      }
      const float* row = logits + static_cast<std::ptrdiff_t>(m - m0) * stride;
      for (int c = 0; c < subpixels; c += W) {
        V logit[9];
        for (int t = 0; t < 9; t++) logit[t] = S::load(row + t * subpixels + c);
        V max_logit = logit[0];
        for (int t = 1; t < 9; t++) max_logit = S::max(max_logit, logit[t]);
        V sum{}, sum_x{}, sum_y{};
        for (int t = 0; t < 9; t++) {
          const V e = S::exp(logit[t] - max_logit);
          sum += e;
          sum_x += e * neighbour_x[t];
          sum_y += e * neighbour_y[t];
        }
        S::store(flow_x + c, sum_x / sum);
        S::store(flow_y + c, sum_y / sum);
      }
      const std::ptrdiff_t corner = static_cast<std::ptrdiff_t>(y) * up * job.ldo + static_cast<std::ptrdiff_t>(x) * up;
      for (int i = 0; i < up; i++) {
        const std::ptrdiff_t at = corner + static_cast<std::ptrdiff_t>(i) * job.ldo;
        __builtin_memcpy(job.out_x + at, flow_x + i * up, sizeof(float) * static_cast<std::size_t>(up));
        __builtin_memcpy(job.out_y + at, flow_y + i * up, sizeof(float) * static_cast<std::size_t>(up));
      }
    }
  }
};

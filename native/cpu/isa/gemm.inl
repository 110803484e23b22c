// The blocked GEMM. A tile of MR x 2 vectors of sums stays in registers while the micro-kernel walks down k: per step
// two vectors of the panel and MR broadcast elements of the rows, 2*MR multiply-adds. Rows are read where they lie, so
// nothing is packed per call; a convolution's rows are pointers to the shifted pixels. k is cut into blocks of at most
// `max_depth`, so that a panel's block stays in the first-level cache while all rows of the item pass over it; with
// more than one block the sums wait in scratch in between.

/// Depth of a block of k: panel (2 * lanes columns) and tile rows share a first-level cache of 32 KiB.
constexpr int max_depth = 384;

template <class Isa>
struct Gemm {
  static constexpr int W = Isa::lanes;
  static constexpr int MR = Isa::tile_rows;
  static constexpr int NR = 2 * W;
  using S = Simd<W>;
  using V = typename S::V;

  struct Tile {
    V sum[MR][2];
  };

  /// Rows at equal distances, found without a look into memory.
  struct Strided {
    const float* first;
    std::ptrdiff_t stride;
    FLOW_INLINE const float* operator[](int i) const { return first + i * stride; }
  };

  /// sum[i] += rows[i][0..depth) x panel[0..depth); `RowsOf` is Strided or an array of pointers.
  template <class RowsOf>
  static FLOW_INLINE void multiply(const RowsOf& rows, const float* panel, int depth, Tile& tile) {
    V sum[MR][2];
    const float* row[MR];
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
      row[i] = rows[i];
      sum[i][0] = tile.sum[i][0];
      sum[i][1] = tile.sum[i][1];
    }
    for (int k = 0; k < depth; k++) {
      const V b0 = S::load(panel + k * NR);
      const V b1 = S::load(panel + k * NR + W);
#pragma GCC unroll 16
      for (int i = 0; i < MR; i++) {
        const V a = S::set(row[i][k]);
        sum[i][0] += a * b0;
        sum[i][1] += a * b1;
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
      tile.sum[i][0] = sum[i][0];
      tile.sum[i][1] = sum[i][1];
    }
  }

  static int blocks_of_k(const GemmJob& job) {
    return job.rows == Rows::conv3x3 ? 9 : (job.weights.k + max_depth - 1) / max_depth;
  }

  static std::size_t scratch_floats(const GemmJob& job) {
    return blocks_of_k(job) > 1 ? static_cast<std::size_t>(job.block) * job.panels_per_item * NR : 0;
  }

  /// Pointers to the rows m .. m + MR of block `kb` of k, where they are not simply Strided: a convolution's, and the
  /// last tile's. Rows past the end repeat the last one; they are not stored.
  static FLOW_INLINE void find_rows(const GemmJob& job, int m, int kb, int k0, const float** rows) {
    for (int i = 0; i < MR; i++) {
      const int row = m + i < job.m ? m + i : job.m - 1;
      if (job.rows == Rows::conv3x3) {
        const int y = row / job.grid.width + kb / 3 - 1, x = row % job.grid.width + kb % 3 - 1;
        const bool inside = y >= 0 && y < job.grid.height && x >= 0 && x < job.grid.width;
        rows[i] = inside ? job.a + static_cast<std::ptrdiff_t>(y * job.grid.width + x) * job.lda : job.zeros;
      } else {
        rows[i] = job.a + static_cast<std::ptrdiff_t>(row) * job.lda + k0;
      }
    }
  }

  template <Epilogue E>
  static void run(const GemmJob& job, int item, float* scratch) {
    const int m0 = item % job.blocks * job.block;
    const int m1 = m0 + job.block < job.m ? m0 + job.block : job.m;
    const int p0 = item / job.blocks * job.panels_per_item;
    const int p1 = p0 + job.panels_per_item < job.weights.count ? p0 + job.panels_per_item : job.weights.count;

    const int k_blocks = blocks_of_k(job);
    const int depth = job.rows == Rows::conv3x3 ? job.cols : (job.weights.k + k_blocks - 1) / k_blocks;
    for (int kb = 0; kb < k_blocks; kb++) {
      const int k0 = kb * depth;
      const int kc = k0 + depth < job.weights.k ? depth : job.weights.k - k0;
      float* waiting = scratch;
      for (int p = p0; p < p1; p++) {
        const float* panel = job.weights.data + (static_cast<std::ptrdiff_t>(p) * job.weights.k + k0) * NR;
        for (int m = m0; m < m1; m += MR) {
          Tile tile;
          if (kb == 0) {
            const V b0 = S::load(job.weights.bias + p * NR), b1 = S::load(job.weights.bias + p * NR + W);
#pragma GCC unroll 16
            for (int i = 0; i < MR; i++) tile.sum[i][0] = b0, tile.sum[i][1] = b1;
          } else {
#pragma GCC unroll 16
            for (int i = 0; i < MR; i++) {
              tile.sum[i][0] = S::load(waiting + i * NR), tile.sum[i][1] = S::load(waiting + i * NR + W);
            }
          }
          if (job.rows != Rows::conv3x3 && m + MR <= job.m) {
            multiply(Strided{job.a + static_cast<std::ptrdiff_t>(m) * job.lda + k0, job.lda}, panel, kc, tile);
          } else {
            const float* rows[MR];
            find_rows(job, m, kb, k0, rows);
            multiply(rows, panel, kc, tile);
          }
          if (kb + 1 < k_blocks) {
#pragma GCC unroll 16
            for (int i = 0; i < MR; i++) {
              S::store(waiting + i * NR, tile.sum[i][0]), S::store(waiting + i * NR + W, tile.sum[i][1]);
            }
          } else {
            const int count = m + MR < m1 ? MR : m1 - m;
            if constexpr (E == Epilogue::qkv) {
              store_qkv(job, m, count, p, tile);
            } else {
              for (int i = 0; i < count; i++) store_row<E>(job, m + i, p, tile.sum[i]);
            }
          }
          waiting += MR * NR;
        }
      }
    }
  }

  template <Epilogue E>
  static FLOW_INLINE void store_row(const GemmJob& job, int row, int p, const V* sum) {
    float* out = job.out + static_cast<std::ptrdiff_t>(row) * job.ldo;
    if constexpr (E == Epilogue::swiglu) {
      S::store(out + p * W, S::silu(sum[0]) * sum[1]);
      return;
    }
    for (int v = 0; v < 2; v++) {
      float* at = out + p * NR + v * W;
      V y = sum[v];
      if constexpr (E == Epilogue::store) {
        if (job.base) y += S::load(job.base + static_cast<std::ptrdiff_t>(row) * job.ld_base + p * NR + v * W);
      }
      if constexpr (E == Epilogue::add) y += S::load(at);
      if constexpr (E == Epilogue::silu) y = S::silu(y);
      if constexpr (E == Epilogue::gelu) y = S::gelu(y);
      if constexpr (E == Epilogue::relu) y = S::relu(y);
      S::store(at, y);
    }
  }

  /// A panel holds channels d.. and d + head_dim/2.. of one head: the pairs that RoPE rotates (Su et al., RoFormer,
  /// 2021; the "rotate half" form).
  static FLOW_INLINE void store_qkv(const GemmJob& job, int row, int count, int p, Tile& tile) {
    const QkvLayout& l = job.qkv;
    const int hd = l.shape.head_dim, half = hd / 2, tokens = l.shape.tokens;
    const int per_head = (half + W - 1) / W;
    const int part = p / (per_head * l.shape.heads), head = p / per_head % l.shape.heads, d = p % per_head * W;
    const int lanes = half - d < W ? half - d : W;
    if (part < 2) {
      for (int i = 0; i < count; i++) {
        const int patch = row + i - l.shape.prefix;
        if (patch < 0) continue;
        const std::ptrdiff_t angle = static_cast<std::ptrdiff_t>(patch) * half + d;
        const V c = lanes == W ? S::load(l.cos + angle) : S::load_part(l.cos + angle, lanes);
        const V s = lanes == W ? S::load(l.sin + angle) : S::load_part(l.sin + angle, lanes);
        const V x = tile.sum[i][0], y = tile.sum[i][1];
        tile.sum[i][0] = x * c - y * s;
        tile.sum[i][1] = y * c + x * s;
      }
    }
    if (part == 0) {
      const float scale = 1.44269504f / __builtin_sqrtf(static_cast<float>(hd));
      float* q = l.q + (static_cast<std::ptrdiff_t>(head) * tokens + row) * hd + d;
      for (int i = 0; i < count; i++, q += hd) {
        store_lanes(q, tile.sum[i][0] * scale, lanes);
        store_lanes(q + half, tile.sum[i][1] * scale, lanes);
      }
    } else if (part == 1) {
      float* k = l.k + static_cast<std::ptrdiff_t>(head) * l.token_panels * hd * NR;
      for (int v = 0; v < 2; v++) {
        float values[MR][W];
        for (int i = 0; i < count; i++) S::store(values[i], tile.sum[i][v]);
        for (int i = 0; i < count; i++) {
          const int t = row + i;
          float* to = k + (static_cast<std::ptrdiff_t>(t / NR) * hd + v * half + d) * NR + t % NR;
          for (int lane = 0; lane < lanes; lane++) to[lane * NR] = values[i][lane];
        }
      }
    } else {
      float* v = l.v + static_cast<std::ptrdiff_t>(head) * l.channel_panels * tokens * NR;
      for (int h = 0; h < 2; h++) {
        for (int i = 0; i < count; i++) {
          const int c = h * half + d;
          if (lanes == W && c % W == 0) {
            S::store(v + (static_cast<std::ptrdiff_t>(c / NR) * tokens + row + i) * NR + c % NR, tile.sum[i][h]);
          } else {
            for (int lane = 0; lane < lanes; lane++) {
              const int at = c + lane;
              v[(static_cast<std::ptrdiff_t>(at / NR) * tokens + row + i) * NR + at % NR] = tile.sum[i][h][lane];
            }
          }
        }
      }
    }
  }

  static FLOW_INLINE void store_lanes(float* p, V v, int lanes) {
    if (lanes == W) {
      S::store(p, v);
    } else {
      S::store_part(p, v, lanes);
    }
  }

  static void gemm(const GemmJob& job, int item, float* scratch) {
    switch (job.epilogue) {
      case Epilogue::store: return run<Epilogue::store>(job, item, scratch);
      case Epilogue::add: return run<Epilogue::add>(job, item, scratch);
      case Epilogue::silu: return run<Epilogue::silu>(job, item, scratch);
      case Epilogue::gelu: return run<Epilogue::gelu>(job, item, scratch);
      case Epilogue::relu: return run<Epilogue::relu>(job, item, scratch);
      case Epilogue::swiglu: return run<Epilogue::swiglu>(job, item, scratch);
      case Epilogue::qkv: return run<Epilogue::qkv>(job, item, scratch);
    }
  }
};

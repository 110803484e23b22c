// The GEMM. A tile of MR x 2 vectors of accumulators stays in registers while the micro-kernel walks all of k. A step
// loads two vectors of the panel and broadcasts MR elements of the rows, for 2*MR multiply-adds. Rows are read in
// place, so nothing is packed per call. A convolution's rows are pointers to the shifted pixels, tap by tap (implicit
// im2col). All rows of an item are multiplied with one panel before the next panel. The panel stays in L2, and in L1
// for k up to 400. Blocking k further, as GotoBLAS does, was measured: accumulators that wait in memory cost more (4 %
// at k = 1536) than it saves.

template <class Isa>
struct Gemm {
  static constexpr int W = Isa::lanes;
  static constexpr int MR = Isa::tile_rows;
  static constexpr int NR = 2 * W;
  using S = Simd<W>;
  using V = typename S::V;

  struct Tile {
    V acc[MR][2];
  };

  /// Rows at equal distances. Their addresses are computed, not loaded.
  struct Strided {
    const float* first;
    std::ptrdiff_t stride;
    FLOW_INLINE const float* operator[](int i) const { return first + i * stride; }
  };

  /// acc[i] += rows[i][0..depth) x panel[0..depth). `RowsOf` is Strided or an array of pointers.
  template <class RowsOf>
  static FLOW_INLINE void multiply(const RowsOf& rows, const float* panel, int depth, Tile& tile) {
    V acc[MR][2];
    const float* row[MR];
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
      row[i] = rows[i];
      acc[i][0] = tile.acc[i][0];
      acc[i][1] = tile.acc[i][1];
    }
#pragma GCC unroll 8  // 1 % faster in attention, whose depth is 64
    for (int k = 0; k < depth; k++) {
      const V b0 = S::load(panel + k * NR);
      const V b1 = S::load(panel + k * NR + W);
#pragma GCC unroll 16
      for (int i = 0; i < MR; i++) {
        const V a = S::broadcast(row[i][k]);
        acc[i][0] += a * b0;
        acc[i][1] += a * b1;
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
      tile.acc[i][0] = acc[i][0];
      tile.acc[i][1] = acc[i][1];
    }
  }

  /// Rows m .. m + MR of the last tile, which is not Strided: rows past the end repeat the last one and are not stored.
  static FLOW_INLINE void clamped_rows(const GemmJob& job, int m, const float** rows) {
    for (int i = 0; i < MR; i++) {
      rows[i] = job.a + static_cast<std::ptrdiff_t>(m + i < job.m ? m + i : job.m - 1) * job.lda;
    }
  }

  /// im2col: pixels m .. m + MR, shifted by a tap.
  static FLOW_INLINE void im2col_rows(const GemmJob& job, int m, int tap, const float** rows) {
    for (int i = 0; i < MR; i++) {
      const int pixel = m + i < job.m ? m + i : job.m - 1;
      const int y = pixel / job.grid.width + tap / 3 - 1, x = pixel % job.grid.width + tap % 3 - 1;
      const bool inside = y >= 0 && y < job.grid.height && x >= 0 && x < job.grid.width;
      rows[i] = inside ? job.a + static_cast<std::ptrdiff_t>(y * job.grid.width + x) * job.lda : job.zeros;
    }
  }

  template <Epilogue E>
  static void run(const GemmJob& job, int item) {
    const int m0 = item % job.blocks * job.block;
    const int m1 = m0 + job.block < job.m ? m0 + job.block : job.m;
    const int p0 = item / job.blocks * job.panels_per_item;
    const int p1 = p0 + job.panels_per_item < job.weights.count ? p0 + job.panels_per_item : job.weights.count;

    for (int p = p0; p < p1; p++) {
      const float* panel = job.weights.data + static_cast<std::ptrdiff_t>(p) * job.weights.k * NR;
      const V bias0 = S::load(job.weights.bias + p * NR), bias1 = S::load(job.weights.bias + p * NR + W);
      for (int m = m0; m < m1; m += MR) {
        Tile tile;
#pragma GCC unroll 16
        for (int i = 0; i < MR; i++) tile.acc[i][0] = bias0, tile.acc[i][1] = bias1;
        const float* rows[MR];
        if (job.rows == Rows::conv3x3) {
          for (int tap = 0; tap < 9; tap++) {
            im2col_rows(job, m, tap, rows);
            multiply(rows, panel + static_cast<std::ptrdiff_t>(tap) * job.cols * NR, job.cols, tile);
          }
        } else if (m + MR <= job.m) {
          multiply(Strided{job.a + static_cast<std::ptrdiff_t>(m) * job.lda, job.lda}, panel, job.cols, tile);
        } else {
          clamped_rows(job, m, rows);
          multiply(rows, panel, job.cols, tile);
        }
        const int count = m + MR < m1 ? MR : m1 - m;
        if constexpr (E == Epilogue::qkv) {
          store_qkv(job, m, count, p, tile);
        } else {
          if (count == MR) {  // with a count known to the compiler, the accumulators stay in registers
#pragma GCC unroll 16
            for (int i = 0; i < MR; i++) store_row<E>(job, m + i, p, tile.acc[i]);
          } else {
            for (int i = 0; i < count; i++) store_row<E>(job, m + i, p, tile.acc[i]);
          }
        }
      }
    }
  }

  template <Epilogue E>
  static FLOW_INLINE void store_row(const GemmJob& job, int row, int p, const V* acc) {
    float* out = job.out + static_cast<std::ptrdiff_t>(row - job.first_row) * job.ldo;
    if constexpr (E == Epilogue::swiglu) {
      S::store(out + p * W, S::silu(acc[0]) * acc[1]);
      return;
    }
    for (int v = 0; v < 2; v++) {
      float* at = out + p * NR + v * W;
      V y = acc[v];
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
        const V c = lanes == W ? S::load(l.cos + angle) : S::load_partial(l.cos + angle, lanes);
        const V s = lanes == W ? S::load(l.sin + angle) : S::load_partial(l.sin + angle, lanes);
        const V x = tile.acc[i][0], y = tile.acc[i][1];
        tile.acc[i][0] = x * c - y * s;
        tile.acc[i][1] = y * c + x * s;
      }
    }
    if (part == 0) {
      const float scale = 1.44269504f / __builtin_sqrtf(static_cast<float>(hd));
      float* q = l.q + (static_cast<std::ptrdiff_t>(head) * tokens + row) * hd + d;
      for (int i = 0; i < count; i++, q += hd) {
        store_lanes(q, tile.acc[i][0] * scale, lanes);
        store_lanes(q + half, tile.acc[i][1] * scale, lanes);
      }
    } else if (part == 1) {
      float* k = l.k + static_cast<std::ptrdiff_t>(head) * l.token_panels * hd * NR;
      for (int v = 0; v < 2; v++) {
        float values[MR][W];
        for (int i = 0; i < count; i++) S::store(values[i], tile.acc[i][v]);
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
            S::store(v + (static_cast<std::ptrdiff_t>(c / NR) * tokens + row + i) * NR + c % NR, tile.acc[i][h]);
          } else {
            for (int lane = 0; lane < lanes; lane++) {
              const int at = c + lane;
              v[(static_cast<std::ptrdiff_t>(at / NR) * tokens + row + i) * NR + at % NR] = tile.acc[i][h][lane];
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
      S::store_partial(p, v, lanes);
    }
  }

  static void gemm(const GemmJob& job, int item) {
    switch (job.epilogue) {
      case Epilogue::store: return run<Epilogue::store>(job, item);
      case Epilogue::add: return run<Epilogue::add>(job, item);
      case Epilogue::silu: return run<Epilogue::silu>(job, item);
      case Epilogue::gelu: return run<Epilogue::gelu>(job, item);
      case Epilogue::relu: return run<Epilogue::relu>(job, item);
      case Epilogue::swiglu: return run<Epilogue::swiglu>(job, item);
      case Epilogue::qkv: return run<Epilogue::qkv>(job, item);
    }
  }
};

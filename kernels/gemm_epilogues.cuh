#pragma once

// The epilogues of the GEMM turn y = gain * (scale * A B^T + bias) into the result. An epilogue gets four neighbouring
// columns of a row per call: a lane's share of 16, two tiles of the accumulators, which gemm_row of gemm.h brings
// together. Four lanes store 16 columns, which are whole sectors of memory in every type. An epilogue also gets the
// values that its `load` has loaded. Columns from n on are not written.
//
// The compiler cannot move a load above a store, because both may alias, or above a branch. So all loads come first.
// Bias and gain are loaded before all rows. Then, for one or two rows at a time, everything that the epilogue needs is
// loaded before the first store. Beyond m or n a thread does not skip its loads: it loads from a valid address that
// nobody writes.

#include "row_moments.cuh"

namespace flow::kernels {

/// The thread's first column in the result.
template <class Block>
DEVICE int first_column() {
  return Block::col_block() * Block::cols + Block::warp_col() + lane_id() % 4 * 4;
}

/// The thread's first column of tile j. Beyond n it is that column in the last block of 16 that is not beyond n.
template <class Block>
DEVICE int column_to_load(const GemmParams& p, int j) {
  const int last = (p.n - 1) / 16 * 16 + lane_id() % 4 * 4;
  return min(first_column<Block>() + j / 2 * 16, last) + j % 2 * 2;
}

template <class Block>
struct Epilogue {
  static constexpr bool normalises = false;  // RowNorm of gemm.h
  static constexpr int batch = 2;            // rows whose loads are issued together: as many as there are registers for

  const GemmParams& p;
  LargestMagnitude largest;

  DEVICE explicit Epilogue(const GemmParams& params) : p(params) {}
  /// Called first, with the block's shared memory, which the stages may still use.
  DEVICE void begin(void* /*shared*/) {}
  /// Called next. `Add` multiplies the accumulators by its gain here.
  DEVICE void scale(typename Block::Accumulators& /*acc*/) const {}
  /// The values that the four columns from `col` on of a row need. If the thread has no such columns, `in_range` is
  /// false, and `row` and `col` are valid but belong to another thread.
  struct Prefetched {};
  DEVICE Prefetched load(int /*row*/, int /*col*/, bool /*in_range*/) const { return {}; }
  /// Called by all threads after the last columns of a row, of which i is the number among the thread's rows.
  DEVICE void end_row(int /*i*/) {}
  /// Called after the last row. `shared` is the block's shared memory. The stages no longer use it after a barrier.
  DEVICE void done(void* /*shared*/) { largest.template report_as<typename Block::T>(p.excess); }

 protected:
  template <class U>
  DEVICE U* out(int row, int col) const {
    return static_cast<U*>(p.out) + static_cast<std::ptrdiff_t>(row) * p.ldo + col;
  }
  template <class U>
  DEVICE void store(int row, int col, float4 y) {
    note<U>(col, y);
    put<U>(out<U>(row, col), col, y);
  }
  /// Notes the columns that are stored.
  template <class U>
  DEVICE void note(int col, float4 y) {
    const float values[] = {y.x, y.y, y.z, y.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (col + i < p.n) largest.note_as<U>(values[i]);
    }
  }
  /// to[0..3] = y, as far as there are columns.
  template <class U>
  DEVICE void put(U* to, int col, float4 y) const {
    if (col + 3 < p.n) return store4(to, y);
    const float values[] = {y.x, y.y, y.z, y.w};
#pragma unroll
    for (int i = 0; i < 3; i++) {
      if (col + i < p.n) to[i] = from_float<U>(values[i]);
    }
  }
};

/// An epilogue whose result is the residual stream. It also writes a ResidualOutput (gemm.h).
template <class Block>
class ResidualEpilogue : public Epilogue<Block> {
 public:
  using Epilogue<Block>::Epilogue;
  static constexpr int batch = 1;

  /// The parts of the warps' rows take the place of the stages.
  DEVICE void begin(void* shared) {
    parts_ = static_cast<float2*>(shared);
    __syncthreads();
  }
  DEVICE void end_row(int i) {
#pragma unroll
    for (int part = 0; part < warp_parts; part++) {
      Moments moments = row_[part].moments();
      moments.add_lanes(4);
      const int row = Block::warp_row() + lane_id() / 4 + 8 * i;
      if (lane_id() % 4 == 0) {
        parts_[row * parts + Block::warp_col() / part_cols + part] = make_float2(moments.mean, moments.squares);
      }
      row_[part] = {};
    }
  }
  DEVICE void done(void* /*shared*/) {
    __syncthreads();
    const int first_row = static_cast<int>(blockIdx.y) * Block::rows, first_col = Block::col_block() * Block::cols;
    for (int i = static_cast<int>(threadIdx.x); i < Block::rows * groups; i += Block::threads) {
      const int row = i / groups, col = i % groups * moment_group;
      if (first_row + row >= this->p.m || first_col + col >= this->p.n) continue;
      Moments moments;
#pragma unroll
      for (int part = 0; part < moment_group / part_cols; part++) {
        const float2 of_part = parts_[row * parts + col / part_cols + part];
        const int left = this->p.n - (first_col + col + part * part_cols);
        moments.add({static_cast<float>(max(0, min(part_cols, left))), of_part.x, of_part.y});
      }
      *moments_of(this->p.residual, first_row + row, (first_col + col) / moment_group) =
          make_float2(moments.mean, moments.squares);
    }
  }

 protected:
  /// The columns of tiles j and j + 1.
  DEVICE void write(int j, int row, int col, float4 y) { write(row, col, y, row_[j * 8 / part_cols]); }
  DEVICE void write(int row, int col, float4 y, RunningMoments& moments) {
    this->template store<float>(row, col, y);
    const float values[] = {y.x, y.y, y.z, y.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (col + i < this->p.n) moments.note(values[i]);
    }
    if constexpr (sizeof(typename Block::T) != 4) {
      const ResidualOutput& residual = this->p.residual;
      auto* const operands = static_cast<typename Block::T*>(residual.operands);
      this->put(operands + static_cast<std::ptrdiff_t>(row) * residual.ld_operands + col, col, y);
    }
  }

 private:
  static constexpr int warp_cols = 8 * Block::col_tiles;
  static constexpr int part_cols = 32;  // in every block, since the sums' bits depend on it
  static constexpr int warp_parts = warp_cols / part_cols, parts = Block::cols / part_cols;
  static constexpr int groups = Block::cols / moment_group;
  static_assert(warp_cols % part_cols == 0 && moment_group % part_cols == 0 && Block::cols % moment_group == 0);
  static_assert(Block::rows * parts * sizeof(float2) <= Block::stages * Block::stage * sizeof(typename Block::T));

  float2* parts_ = nullptr;  // rows x parts, of the block
  RunningMoments row_[warp_parts];
};

template <class Block>
struct Embed : ResidualEpilogue<Block> {
  using ResidualEpilogue<Block>::ResidualEpilogue;

  using typename Epilogue<Block>::Prefetched;

  DEVICE void operator()(int j, int row, int col, float4 y, const Prefetched&) { this->write(j, row, col, y); }

  DEVICE void done(void* shared) {
    ResidualEpilogue<Block>::done(shared);
    if (blockIdx.y != 0) return;
    // Half a warp copies a group of columns of a row, four columns a lane.
    constexpr int groups = Block::cols / moment_group, lanes = moment_group / 4, at_once = warp_size / lanes;
    const int n = this->p.n;
    const PrefixRows& prefix = this->p.prefix;
    const int items = prefix.count * groups;
    for (int first = warp_id() * at_once; first < items; first += Block::threads / lanes) {
      const int item = first + lane_id() / lanes, row = item / groups;
      const int group = Block::col_block() * groups + item % groups, col = group * moment_group + lane_id() % lanes * 4;
      RunningMoments four;
      if (item < items && col < n) {
        const float* const from = prefix.rows + static_cast<std::ptrdiff_t>(row) * n + col;
        const float4 y =
            make_float4(from[0], col + 1 < n ? from[1] : 0.F, col + 2 < n ? from[2] : 0.F, col + 3 < n ? from[3] : 0.F);
        this->write(row - prefix.count, col, y, four);
      }
      Moments moments = four.moments();
      moments.add_lanes(lanes);
      if (lane_id() % lanes == 0 && item < items && group * moment_group < n) {
        *moments_of(this->p.residual, row - prefix.count, group) = make_float2(moments.mean, moments.squares);
      }
    }
  }
};

template <class Block>
struct Add : ResidualEpilogue<Block> {
  using ResidualEpilogue<Block>::ResidualEpilogue;

  struct Prefetched {
    float4 x;
  };

  DEVICE void scale(typename Block::Accumulators& acc) const {
    if (this->p.gain == nullptr) return;
#pragma unroll
    for (int j = 0; j < Block::col_tiles; j++) {
      const float2 gain = *reinterpret_cast<const float2*>(this->p.gain + column_to_load<Block>(this->p, j));
#pragma unroll
      for (int i = 0; i < Block::row_tiles; i++) {
        float(&x)[4] = acc[i][j];
        x[0] *= gain.x, x[1] *= gain.y, x[2] *= gain.x, x[3] *= gain.y;
      }
    }
  }
  DEVICE Prefetched load(int row, int col, bool in_range) const {
    const float* const x =
        in_range ? this->template out<float>(row, col) : this->p.bias;  // an address that nobody writes
    return {*reinterpret_cast<const float4*>(x)};
  }
  DEVICE void operator()(int j, int row, int col, float4 y, const Prefetched& old) {
    const float4 x = old.x;
    this->write(j, row, col, make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w));
  }
};

template <class F>
DEVICE float4 each(float4 y, const F& f) {
  return make_float4(f(y.x), f(y.y), f(y.z), f(y.w));
}

template <class Block>
struct Gelu : Epilogue<Block> {
  using Epilogue<Block>::Epilogue;
  static constexpr bool normalises = true;
  using typename Epilogue<Block>::Prefetched;

  DEVICE void operator()(int /*j*/, int row, int col, float4 y, const Prefetched&) {
    const float scale = this->p.out_scale;
    this->template store<typename Block::T>(row, col, each(y, [&](float x) { return scale * gelu(x); }));
  }
};

template <class Block>
struct Relu : Epilogue<Block> {
  using Epilogue<Block>::Epilogue;
  using typename Epilogue<Block>::Prefetched;

  DEVICE void operator()(int /*j*/, int row, int col, float4 y, const Prefetched&) {
    this->template store<typename Block::T>(row, col, each(y, [](float x) { return fmaxf(x, 0.F); }));
  }
};

template <class Block>
struct Silu : Epilogue<Block> {
  using Epilogue<Block>::Epilogue;
  using typename Epilogue<Block>::Prefetched;

  DEVICE void operator()(int /*j*/, int row, int col, float4 y, const Prefetched&) {
    this->template store<typename Block::T>(row, col, each(y, [](float x) { return silu(x); }));
  }
};

/// SiLU, and the first half of a squeeze-and-excitation over the values as they are stored. See Squeeze in gemm.h.
template <class Block>
class SiluSqueeze : public Epilogue<Block> {
 public:
  using Epilogue<Block>::Epilogue;
  using typename Epilogue<Block>::Prefetched;

  DEVICE void operator()(int j, int row, int col, float4 y, const Prefetched&) {
    using T = typename Block::T;
    const float4 out = each(y, [](float x) { return silu(x); });
    this->template store<T>(row, col, out);
    const float values[] = {out.x, out.y, out.z, out.w};
#pragma unroll
    for (int i = 0; i < 4; i++) sums_[j / 2][i] += to_float(from_float<T>(values[i]));
  }

  DEVICE void done(void* shared) {
    Epilogue<Block>::done(shared);
    if (this->p.squeeze.squeezed == nullptr) return;
    float* const warp_sums = static_cast<float*>(shared);  // warp_rows x cols
    __syncthreads();
#pragma unroll
    for (int j = 0; j < Block::col_tiles; j += 2) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        float sum = sums_[j / 2][i];
#pragma unroll
        for (int lanes = 4; lanes < warp_size; lanes *= 2) sum += __shfl_xor_sync(0xffffffffU, sum, lanes);
        const int col = Block::warp_col() + 8 * j + lane_id() % 4 * 4 + i;
        if (lane_id() < 4) warp_sums[Block::warp_row() / (16 * Block::row_tiles) * Block::cols + col] = sum;
      }
    }
    __syncthreads();
    sum_columns(warp_sums, Block::warp_rows, Block::cols, partial(blockIdx.y));

    __threadfence();
    if (!last_to_arrive()) return;
    __threadfence();
    float* const total = static_cast<float*>(shared);  // cols
    sum_columns(partial(0), static_cast<int>(gridDim.y), this->p.n, total);
    __syncthreads();
    squeeze(total);
  }

 private:
  static_assert(Block::cols % squeeze_channels == 0);

  static DEVICE int first() { return Block::col_block() * Block::cols; }
  /// The sums of a block of rows, for this block's columns.
  DEVICE float* partial(unsigned block) const {
    return this->p.squeeze.partial + static_cast<std::ptrdiff_t>(block) * this->p.n + first();
  }

  /// to[c] = the sum over all rows of column c of `from`, for the block's columns.
  DEVICE void sum_columns(const float* from, int rows, int stride, float* to) const {
    constexpr int batch = 16;  // rows that are loaded together
    for (int c = static_cast<int>(threadIdx.x); c < Block::cols && first() + c < this->p.n; c += Block::threads) {
      float sum = 0.F;
      for (int begin = 0; begin < rows; begin += batch) {
        float x[batch];
#pragma unroll
        for (int i = 0; i < batch; i++) {
          x[i] = begin + i < rows ? from[static_cast<std::ptrdiff_t>(begin + i) * stride + c] : 0.F;
        }
#pragma unroll
        for (int i = 0; i < batch; i++) sum += x[i];
      }
      to[c] = sum;
    }
  }

  /// The block's rows of `squeezed`, a dot product for each element of a row, by a warp.
  DEVICE void squeeze(const float* total) const {
    constexpr int batch = 10;  // dot products whose loads are issued together
    constexpr int lanes_columns = squeeze_channels / warp_size;
    const Squeeze& s = this->p.squeeze;
    const int n = this->p.n;
    const float inverse_count = 1.F / static_cast<float>(this->p.m);
    for (int slice = 0; slice < Block::cols && first() + slice < n; slice += squeeze_channels) {
      float mean[lanes_columns];
#pragma unroll
      for (int i = 0; i < lanes_columns; i++) {
        const int c = slice + i * warp_size + lane_id();
        mean[i] = first() + c < n ? total[c] * inverse_count : 0.F;
      }
      for (int begin = warp_id() * batch; begin < s.reduced; begin += Block::threads / warp_size * batch) {
        float dot[batch];
#pragma unroll
        for (int j = 0; j < batch; j++) {
          dot[j] = 0.F;
          const float* const row = s.fc1 + static_cast<std::ptrdiff_t>(min(begin + j, s.reduced - 1)) * n;
#pragma unroll
          for (int i = 0; i < lanes_columns; i++) {
            dot[j] += mean[i] * row[min(first() + slice + i * warp_size + lane_id(), n - 1)];
          }
        }
#pragma unroll
        for (int j = 0; j < batch; j++) {
#pragma unroll
          for (int step = warp_size / 2; step > 0; step /= 2) dot[j] += __shfl_xor_sync(0xffffffffU, dot[j], step);
          if (lane_id() == 0 && begin + j < s.reduced) {
            s.squeezed[(first() + slice) / squeeze_channels * s.ld + begin + j] = dot[j];
          }
        }
      }
    }
  }

  /// Whether this block is the last of its columns to arrive; the same in all threads. The last arrival resets the
  /// counter to zero.
  DEVICE bool last_to_arrive() const {
    __syncthreads();
    const bool last =
        threadIdx.x == 0 && atomicInc(this->p.squeeze.arrived + Block::col_block(), gridDim.y - 1) == gridDim.y - 1;
    return __syncthreads_or(last) != 0;
  }

  float sums_[Block::col_tiles / 2][4] = {};
};

/// Of 32 columns a lane has two gates and their ups in the first 16, and the next two of each in the others: four
/// neighbouring columns of the result.
template <class Block>
class Swiglu : public Epilogue<Block> {
 public:
  using Epilogue<Block>::Epilogue;
  static constexpr bool normalises = true;
  using typename Epilogue<Block>::Prefetched;

  DEVICE void operator()(int j, int row, int col, float4 y, const Prefetched&) {
    using T = typename Block::T;
    // `up` shrinks before the product, whose magnitude is the largest.
    const float scale = this->p.out_scale;
    const float2 product = make_float2(silu(y.x) * (scale * y.z), silu(y.y) * (scale * y.w));
    this->largest.template note_as<T>(product.x);
    this->largest.template note_as<T>(product.y);
    if (j % 4 == 0) {
      first_ = product;
    } else {
      store4(this->template out<T>(row, col / 32 * 16 + col % 16),
             make_float4(first_.x, first_.y, product.x, product.y));
    }
  }

 private:
  static_assert(Block::col_tiles % 4 == 0);

  float2 first_;
};

/// See QkvOutput in gemm.h. A lane has two pairs of channels that RoPE rotates.
template <class Block>
struct Qkv : Epilogue<Block> {
  using Epilogue<Block>::Epilogue;
  static constexpr bool normalises = true;
  static constexpr int batch = 1;

  struct Prefetched {
    float2 cos, sin;
  };

  DEVICE Prefetched load(int row, int col, bool /*in_range*/) const {
    const QkvOutput& qkv = this->p.qkv;
    const int d = col & (qkv.head_dim - 1);
    const int patch = max(token(row) - qkv.prefix, 0);
    const std::ptrdiff_t pair = static_cast<std::ptrdiff_t>(patch) * (qkv.head_dim / 2) + d / 2;
    return {*reinterpret_cast<const float2*>(qkv.cos + pair), *reinterpret_cast<const float2*>(qkv.sin + pair)};
  }
  DEVICE void operator()(int /*j*/, int row, int col, float4 y, const Prefetched& prefetched) const {
    using T = typename Block::T;
    const QkvOutput& qkv = this->p.qkv;
    // head_dim is a power of two. A division per element would cost more than the product's arithmetic.
    const int d = col & (qkv.head_dim - 1), head = col >> (__ffs(qkv.head_dim) - 1);
    const int part = head < qkv.heads ? 0 : head < 2 * qkv.heads ? 1 : 2;
    if (part < 2 && token(row) >= qkv.prefix) {
      const float2 cos = prefetched.cos, sin = prefetched.sin;
      y = make_float4(y.x * cos.x - y.z * sin.x, y.y * cos.y - y.w * sin.y, y.z * cos.x + y.x * sin.x,
                      y.w * cos.y + y.y * sin.y);
    }
    const float scale = qkv.scale[part];
    y = each(y, [&](float x) { return x * scale; });
    T* const to = static_cast<T*>(this->p.out) + (3 * image(row) + part) * qkv.part +
                  (static_cast<std::ptrdiff_t>(head - part * qkv.heads) * qkv.tokens + token(row)) * qkv.head_dim + d;
    store4(to, y);
    // Each part has its word, so this thread's columns report by themselves.
    LargestMagnitude largest;
    for (const float x : {y.x, y.y, y.z, y.w}) largest.note_as<T>(x);
    largest.report_as<T>(this->p.excess + part);
  }

 private:
  /// There are at most two images, so a comparison replaces the division.
  DEVICE int image(int row) const { return row >= this->p.qkv.tokens ? 1 : 0; }
  DEVICE int token(int row) const { return row - image(row) * this->p.qkv.tokens; }
};

/// acc = scale * acc + bias.
template <class Block>
DEVICE void add_bias(const GemmParams& p, typename Block::Accumulators& acc) {
#pragma unroll
  for (int j = 0; j < Block::col_tiles; j++) {
    const float2 bias = *reinterpret_cast<const float2*>(p.bias + column_to_load<Block>(p, j));
#pragma unroll
    for (int i = 0; i < Block::row_tiles; i++) {
      float(&x)[4] = acc[i][j];
      x[0] = fmaf(x[0], p.scale, bias.x), x[1] = fmaf(x[1], p.scale, bias.y);
      x[2] = fmaf(x[2], p.scale, bias.x), x[3] = fmaf(x[3], p.scale, bias.y);
    }
  }
}

/// The same for a product of x - mean, over the deviation: (scale * acc - mean * sum) / deviation + bias. `norms` is
/// that of combine_moments.
template <class Block>
DEVICE void normalise(const GemmParams& p, const float2* norms, typename Block::Accumulators& acc) {
  const float2* const of_rows = norms + Block::warp_row() + lane_id() / 4;
#pragma unroll
  for (int j = 0; j < Block::col_tiles; j++) {
    const int col = column_to_load<Block>(p, j);
    const float2 bias = *reinterpret_cast<const float2*>(p.bias + col);
    const float2 sum = *reinterpret_cast<const float2*>(p.norm.sums + col);
#pragma unroll
    for (int i = 0; i < Block::row_tiles; i++) {
      float(&x)[4] = acc[i][j];
      // Volatile, so that the loads stay here: all of them ahead of the loop would spill registers of the wide tiles.
      const auto* const norm = reinterpret_cast<const volatile float*>(of_rows + 16 * i);
      const float2 top = make_float2(norm[0], norm[1]), bottom = make_float2(norm[16], norm[17]);
      const float scale_top = top.x * p.scale, scale_bottom = bottom.x * p.scale;
      x[0] = fmaf(x[0], scale_top, fmaf(top.y, sum.x, bias.x));
      x[1] = fmaf(x[1], scale_top, fmaf(top.y, sum.y, bias.y));
      x[2] = fmaf(x[2], scale_bottom, fmaf(bottom.y, sum.x, bias.x));
      x[3] = fmaf(x[3], scale_bottom, fmaf(bottom.y, sum.y, bias.y));
    }
  }
}

/// Passes all accumulators of the thread, with bias, to `epilogue`.
template <class Block, class E>
DEVICE void run_epilogue(const GemmParams& p, typename Block::Accumulators& acc, E& epilogue) {
  static_assert(Block::col_tiles % 2 == 0);
  const int first_row = Block::first_row(), first_col = first_column<Block>();

  epilogue.scale(acc);

#pragma unroll
  for (int i = 0; i < 2 * Block::row_tiles; i += E::batch) {
    typename E::Prefetched prefetched[E::batch][Block::col_tiles / 2];
#pragma unroll
    for (int h = 0; h < E::batch; h++) {
#pragma unroll
      for (int j = 0; j < Block::col_tiles; j += 2) {
        const int row = first_row + 8 * (i + h);
        const bool in_range = row < p.m && first_col + 8 * j < p.n;
        prefetched[h][j / 2] = epilogue.load(row < p.m ? row : 0, column_to_load<Block>(p, j), in_range);
      }
    }
#pragma unroll
    for (int h = 0; h < E::batch; h++) {
#pragma unroll
      for (int j = 0; j < Block::col_tiles; j += 2) {
        const int row = first_row + 8 * (i + h), col = first_col + 8 * j;
        if (row >= p.m || col >= p.n) continue;
        const float* const x = acc[(i + h) / 2][j] + (i + h) % 2 * 2;
        const float* const y = acc[(i + h) / 2][j + 1] + (i + h) % 2 * 2;
        epilogue(j, row, col, make_float4(x[0], x[1], y[0], y[1]), prefetched[h][j / 2]);
      }
      epilogue.end_row(i + h);
    }
  }
}

}  // namespace flow::kernels

// The edge-aware fill: tridiagonal solves along rows and columns, by Thomas's algorithm. Each step of a solve waits for
// a division of the step before, so many rows or columns are solved at once.

template <int W>
void fill_start(const FillJob& job, int item) {
  using S = Simd<W>;
  using V = typename S::V;
  const int width = job.flow.width, height = job.flow.height;
  const int end = item * fill_rows + fill_rows < height ? item * fill_rows + fill_rows : height;
  const V edge = S::broadcast(-1 / job.edge);
  for (int y = item * fill_rows; y < end; y++) {
    const std::ptrdiff_t row = y * job.stride;
    const float* sure = job.sure + y * job.ld_sure;
    const float *u = job.flow.u + y * job.flow.stride, *v = job.flow.v + y * job.flow.stride;
    for (int x = 0; x < width; x += W) {  // the rows of all matrices are padded, and images have borders
      V right{}, down{};
      for (const Plane& plane : job.planes) {
        const float* p = plane.row(y) + x;
        const V here = S::load(p);
        right += S::abs(S::load(p + 1) - here), down += S::abs(S::load(p + plane.stride) - here);
      }
      S::store(job.right + row + x, S::exp(right * edge));
      S::store(job.down + row + x, S::exp(down * edge));
      const V weight = S::max(S::load(sure + x), S::broadcast(1e-4f));
      S::store(job.u + row + x, weight * S::load(u + x));
      S::store(job.v + row + x, weight * S::load(v + x));
      S::store(job.weight + row + x, weight);
    }
    job.right[row + width - 1] = 0;
    if (y == height - 1) std::memset(job.down + row, 0, sizeof(float) * static_cast<std::size_t>(width));
  }
}

inline std::size_t fill_scratch(const FillJob& job) {
  const std::size_t rows = 5 * fill_rows * static_cast<std::size_t>(job.flow.width);
  const std::size_t columns = fill_columns * static_cast<std::size_t>(job.flow.height);
  return rows > columns ? rows : columns;
}

/// `fill_rows` rows side by side in one vector: they are transposed there and back.
inline void fill_along_rows(const FillJob& job, int item, float* scratch) {
  using S = Simd<fill_rows>;
  using V = S::V;
  const int width = job.flow.width, first = item * fill_rows;
  const int rows = job.flow.height - first < fill_rows ? job.flow.height - first : fill_rows;
  const auto plane = [&](int index) { return scratch + static_cast<std::ptrdiff_t>(index) * fill_rows * width; };
  float *u = plane(0), *v = plane(1), *weight = plane(2), *right = plane(3), *back = plane(4);
  const auto transpose = [&](const float* from, float* to) {
    for (int r = 0; r < fill_rows; r++) {
      const float* row = from + (first + (r < rows ? r : rows - 1)) * job.stride;
      for (int x = 0; x < width; x++) to[x * fill_rows + r] = row[x];
    }
  };
  transpose(job.u, u), transpose(job.v, v), transpose(job.weight, weight), transpose(job.right, right);
  V left{}, factor{}, sum_u{}, sum_v{}, sum_weight{};
  for (int x = 0; x < width; x++) {
    const int at = x * fill_rows;
    const V to_right = job.lambda * S::load(right + at), inverse = 1.f / (1.f + left + to_right - left * factor);
    sum_u = (S::load(u + at) + left * sum_u) * inverse;
    sum_v = (S::load(v + at) + left * sum_v) * inverse;
    sum_weight = (S::load(weight + at) + left * sum_weight) * inverse;
    factor = to_right * inverse;
    S::store(u + at, sum_u), S::store(v + at, sum_v), S::store(weight + at, sum_weight), S::store(back + at, factor);
    left = to_right;
  }
  for (int x = width - 2; x >= 0; x--) {
    const int at = x * fill_rows;
    factor = S::load(back + at);
    sum_u = S::load(u + at) + factor * sum_u;
    sum_v = S::load(v + at) + factor * sum_v;
    sum_weight = S::load(weight + at) + factor * sum_weight;
    S::store(u + at, sum_u), S::store(v + at, sum_v), S::store(weight + at, sum_weight);
  }
  const auto restore = [&](const float* from, float* to) {
    for (int r = 0; r < rows; r++) {
      float* row = to + (first + r) * job.stride;
      for (int x = 0; x < width; x++) row[x] = from[x * fill_rows + r];
    }
  };
  restore(u, job.u), restore(v, job.v), restore(weight, job.weight);
}

template <int W>
void fill_along_columns(const FillJob& job, int item, float* scratch) {
  using S = Simd<W>;
  using V = typename S::V;
  const int height = job.flow.height, first = item * fill_columns;
  const int columns = job.flow.width - first < fill_columns ? job.flow.width - first : fill_columns;
  const std::ptrdiff_t stride = job.stride;
  for (int x = 0; x < columns; x += W) {
    float *u = job.u + first + x, *v = job.v + first + x, *weight = job.weight + first + x, *back = scratch + x;
    const float* down = job.down + first + x;
    V above{}, factor{}, sum_u{}, sum_v{}, sum_weight{};
    for (int y = 0; y < height; y++) {
      const V below = job.lambda * S::load(down + y * stride), inverse = 1.f / (1.f + above + below - above * factor);
      sum_u = (S::load(u + y * stride) + above * sum_u) * inverse;
      sum_v = (S::load(v + y * stride) + above * sum_v) * inverse;
      sum_weight = (S::load(weight + y * stride) + above * sum_weight) * inverse;
      factor = below * inverse;
      S::store(u + y * stride, sum_u), S::store(v + y * stride, sum_v), S::store(weight + y * stride, sum_weight);
      S::store(back + y * fill_columns, factor);
      above = below;
    }
    for (int y = height - 2; y >= 0; y--) {
      factor = S::load(back + y * fill_columns);
      sum_u = S::load(u + y * stride) + factor * sum_u;
      sum_v = S::load(v + y * stride) + factor * sum_v;
      sum_weight = S::load(weight + y * stride) + factor * sum_weight;
      S::store(u + y * stride, sum_u), S::store(v + y * stride, sum_v), S::store(weight + y * stride, sum_weight);
    }
  }
}

template <int W>
void fill_end(const FillJob& job, int item) {
  using S = Simd<W>;
  using V = typename S::V;
  const int width = job.flow.width, height = job.flow.height;
  const int end = item * fill_rows + fill_rows < height ? item * fill_rows + fill_rows : height;
  for (int y = item * fill_rows; y < end; y++) {
    const std::ptrdiff_t row = y * job.stride;
    const float* sure = job.sure + y * job.ld_sure;
    float *u = job.flow.u + y * job.flow.stride, *v = job.flow.v + y * job.flow.stride;
    for (int x = 0; x < width; x += W) {
      const V around = S::max(S::load(job.weight + row + x), S::broadcast(1e-12f)), inverse = 1.f / around;
      const V own = S::load(sure + x), keep = own / (own + job.keep * around);
      const V mean_u = S::load(job.u + row + x) * inverse, mean_v = S::load(job.v + row + x) * inverse;
      S::store(u + x, mean_u + keep * (S::load(u + x) - mean_u));
      S::store(v + x, mean_v + keep * (S::load(v + x) - mean_v));
    }
  }
}

template <int W>
void double_row(const FlowPlanes& in, const FlowPlanes& out, int row) {
  const int plane = row / out.height, y = row % out.height;
  const float at = 0.5f * static_cast<float>(y) - 0.25f, last = static_cast<float>(in.height - 1);
  const float held = at < 0 ? 0 : at > last ? last : at;
  const int top = static_cast<int>(held), bottom = top + 1 < in.height ? top + 1 : top;
  const float part = held - static_cast<float>(top);
  const float *source = plane == 0 ? in.u : in.v, *upper = source + top * in.stride,
              *lower = source + bottom * in.stride;
  float* to = (plane == 0 ? out.u : out.v) + y * out.stride;
  // Twice the mean, weighted 3 to 1, of the pixel and the one that is nearer to the left or right.
  float left = upper[0] + part * (lower[0] - upper[0]), here = left;
  for (int x = 0; x < in.width; x++) {
    const int next = x + 1 < in.width ? x + 1 : x;
    const float right = upper[next] + part * (lower[next] - upper[next]);
    to[2 * x] = 1.5f * here + 0.5f * left;
    to[2 * x + 1] = 1.5f * here + 0.5f * right;
    left = here, here = right;
  }
  if (out.width > 2 * in.width) to[2 * in.width] = to[2 * in.width - 1];
}

/// out = (x - mean) / sqrt(variance + epsilon) * gamma + beta over the `cols` values of a row, in two passes. The
/// padding up to the next whole vector is read (it is zero) and written.
template <int W>
FLOW_INLINE void normalise(const float* x, int cols, const float* gamma, const float* beta, float epsilon, float* out) {
  using S = Simd<W>;
  using V = typename S::V;
  const int whole = cols / W * W;
  V sum{};
  for (int c = 0; c < whole; c += W) sum += S::load(x + c);
  float total = S::reduce_add(sum);
  for (int c = whole; c < cols; c++) total += x[c];
  const float mean = total / static_cast<float>(cols);
  V square{};
  for (int c = 0; c < whole; c += W) {
    const V d = S::load(x + c) - mean;
    square += d * d;
  }
  float squares = S::reduce_add(square);
  for (int c = whole; c < cols; c++) squares += (x[c] - mean) * (x[c] - mean);
  const float scale = 1.f / __builtin_sqrtf(squares / static_cast<float>(cols) + epsilon);
  for (int c = 0; c < cols; c += W) {
    S::store(out + c, (S::load(x + c) - mean) * scale * S::load(gamma + c) + S::load(beta + c));
  }
}

template <int W>
void layer_norm(const NormJob& job, int row) {
  normalise<W>(job.x + static_cast<std::ptrdiff_t>(row) * job.ldx, job.cols, job.gamma, job.beta, job.epsilon,
               job.out + static_cast<std::ptrdiff_t>(row) * job.ldo);
}

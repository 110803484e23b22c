#include "cpu/cpu_ops.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "cpu/color_flow.h"
#include "cpu/match_global.h"
#include "cpu/match_similarity.h"
#include "cpu/pack.h"
#include "cpu/round_trip.h"

namespace flow::cpu {

namespace {

/// Rows of a GEMM item: with k = 384 they stay in L2 while the panels pass.
constexpr int gemm_block = 192;
/// Target number of items of a GEMM per thread.
constexpr int items_per_thread = 16;
/// Pixels of an upsampling item: their masks, 9 KiB each, stay in L2.
constexpr int upsample_block = 24;
/// Queries of an attention item.
constexpr int query_block = 96;

template <class Kind>
float* floats(Matrix<Kind> m) {
  return static_cast<float*>(m.data);
}

template <class Kind>
void read_rows(Matrix<Kind> from, std::span<float> host) {
  for (int r = 0; r < from.rows; r++) {
    std::memcpy(host.data() + static_cast<std::size_t>(r) * from.cols,
                floats(from) + static_cast<std::size_t>(r) * from.stride, sizeof(float) * from.cols);
  }
}

template <class Kind>
void write_rows(std::span<const float> host, Matrix<Kind> to) {
  for (int r = 0; r < to.rows; r++) {
    std::memcpy(floats(to) + static_cast<std::size_t>(r) * to.stride,
                host.data() + static_cast<std::size_t>(r) * to.cols, sizeof(float) * to.cols);
  }
}

template <class T>
const T& as(const Packed& packed) {
  return static_cast<const T&>(packed);
}

template <class In, class Out>
GemmJob gemm_job(Epilogue epilogue, Matrix<In> in, const Packed& linear, Matrix<Out> out) {
  GemmJob job{};
  job.epilogue = epilogue;
  job.a = floats(in);
  job.lda = in.stride;
  job.m = in.rows;
  job.cols = in.cols;
  job.weights = as<PackedPanels>(linear).view();
  job.out = floats(out);
  job.ldo = out.stride;
  return job;
}

PackedPtr after(const NormWeights& norm, std::unique_ptr<PackedPanels> weights) {
  weights->norm = pack_norm(norm);
  return weights;
}

float sigmoid(float x) { return 1.F / (1.F + std::exp(-x)); }

}  // namespace

CpuOps::CpuOps(int threads, const Kernels& kernels)
    : kernels_(kernels),
      pool_(threads),
      scratch_(static_cast<std::size_t>(threads)),
      longest_(static_cast<std::size_t>(threads)) {}

double CpuOps::measure_peak() {
  using Clock = std::chrono::steady_clock;
  constexpr long steps = 2'000'000;
  const double flop = 4.0 * steps * kernels_.lanes * kernels_.tile_rows * pool_.size();
  double best = 0;
  for (int i = 0; i < 12; i++) {
    std::atomic<float> total = 0;  // read below, so that the compiler cannot drop the work
    const auto begin = Clock::now();
    pool_.run(pool_.size(),
              [&](int item, int /*thread*/) { total = kernels_.multiply_add(steps, .99F, static_cast<float>(item)); });
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (std::isfinite(total)) best = std::max(best, flop / seconds);
  }
  return best;
}

// ---- memory ---------------------------------------------------------------------------------------------------------

std::unique_ptr<Memory> CpuOps::allocate(std::size_t bytes) { return std::make_unique<CpuMemory>(bytes); }

int CpuOps::stride(int cols) const {
  const int whole = round_up(cols, widest_panel);
  // A stride of a large power of two puts a tile's rows into the same few cache sets.
  return whole % 256 == 0 ? whole + widest_panel : whole;
}

/// Of one image.
std::size_t CpuOps::qkv_elements_of_image(AttentionShape shape) const {
  const std::size_t panel = 2 * static_cast<std::size_t>(kernels_.lanes), tokens = shape.tokens, hd = shape.head_dim;
  const std::size_t padded_tokens = (tokens + panel - 1) / panel * panel, padded_hd = (hd + panel - 1) / panel * panel;
  return shape.heads * (tokens * hd + padded_tokens * hd + tokens * padded_hd) + widest_panel;
}

std::size_t CpuOps::qkv_elements(AttentionShape shape) const {
  return static_cast<std::size_t>(shape.images) * qkv_elements_of_image(shape);
}

QkvLayout CpuOps::layout(OperandMatrix qkv, AttentionShape shape, int image) const {
  const int panel = 2 * kernels_.lanes;
  QkvLayout l{};
  l.shape = shape;
  l.token_panels = ceil_div(shape.tokens, panel);
  l.channel_panels = ceil_div(shape.head_dim, panel);
  l.q = floats(qkv) + static_cast<std::size_t>(image) * qkv_elements_of_image(shape);
  l.k = l.q + static_cast<std::size_t>(shape.heads) * shape.tokens * shape.head_dim;
  l.v = l.k + static_cast<std::size_t>(shape.heads) * l.token_panels * panel * shape.head_dim;
  return l;
}

RealMatrix CpuOps::output(std::span<float> host, int /*slot*/, int rows, int cols) {
  return {host.data(), rows, cols, cols};
}

ByteMatrix CpuOps::output(std::span<std::uint8_t> host, int /*slot*/, int rows, int cols) {
  return {host.data(), rows, cols, cols};
}

void CpuOps::read(RealMatrix from, std::span<float> host) { read_rows(from, host); }
void CpuOps::read(OperandMatrix from, std::span<float> host) { read_rows(from, host); }
void CpuOps::write(std::span<const float> host, RealMatrix to) { write_rows(host, to); }
void CpuOps::write(std::span<const float> host, OperandMatrix to) { write_rows(host, to); }

void CpuOps::copy(const RowCopy& rows) {
  for (std::size_t row = 0; row < rows.rows; row++) {
    std::memcpy(rows.to + row * rows.to_step, rows.from + row * rows.from_step, rows.bytes);
  }
}

void CpuOps::reserve_scratch(std::size_t count) {
  for (AlignedFloats& floats : scratch_) {
    if (floats.size() < count) floats = AlignedFloats(count);
  }
}

// ---- weights --------------------------------------------------------------------------------------------------------

PackedPtr CpuOps::pack_values(std::span<const float> values) {
  auto packed = std::make_unique<PackedValues>();
  packed->values = padded(values);
  packed->count = static_cast<int>(values.size());
  return packed;
}

PackedPtr CpuOps::pack_norm(const NormWeights& weights) { return cpu::pack_norm(weights); }

PackedPtr CpuOps::pack_linear(const LinearWeights& weights) { return pack_panels(weights, kernels_.lanes); }

PackedPtr CpuOps::pack_norm_linear(const NormWeights& norm, const LinearWeights& weights) {
  return after(norm, pack_panels(weights, kernels_.lanes));
}

PackedPtr CpuOps::pack_qkv(const NormWeights& norm, const LinearWeights& weights, int heads) {
  return after(norm, pack_qkv_panels(weights, heads, kernels_.lanes));
}

PackedPtr CpuOps::pack_rope(std::span<const float> cos, std::span<const float> sin, int /*half_dim*/) {
  auto packed = std::make_unique<PackedRope>();
  packed->cos = padded(cos);
  packed->sin = padded(sin);
  return packed;
}

PackedPtr CpuOps::pack_swiglu(const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up) {
  return after(norm, pack_swiglu_panels(gate, up, kernels_.lanes));
}

PackedPtr CpuOps::pack_depthwise(std::span<const float> weight, int channels) {
  return pack_depthwise_taps(weight, channels);
}

PackedPtr CpuOps::pack_conv3x3(const LinearWeights& weights) {
  if (zeros_.size() < static_cast<std::size_t>(weights.in)) zeros_ = AlignedFloats(weights.in);
  return pack_conv3x3_panels(weights, kernels_.lanes);
}

PackedPtr CpuOps::pack_squeeze_excite(const SqueezeExciteWeights& weights) { return pack_se(weights); }

PackedPtr CpuOps::pack_mask(const LinearWeights& weights, int up) {
  auto packed = pack_panels(weights, kernels_.lanes);
  packed->up = up;
  return packed;
}

// ---- GEMMs ----------------------------------------------------------------------------------------------------------

void CpuOps::run_gemm(GemmJob job) {
  job.zeros = zeros_.data();
  job.blocks = ceil_div(job.m, gemm_block);
  job.block = round_up(ceil_div(job.m, job.blocks), kernels_.tile_rows);
  job.blocks = ceil_div(job.m, job.block);
  // Threads end within one item of each other, so there must be many items: the columns are cut as well.
  const int slices =
      std::clamp(ceil_div(items_per_thread * pool_.size(), job.blocks), 1, ceil_div(job.weights.count, 4));
  job.panels_per_item = ceil_div(job.weights.count, slices);
  job.items = job.blocks * ceil_div(job.weights.count, job.panels_per_item);
  pool_.run(job.items, [&](int item, int /*thread*/) { kernels_.gemm(job, item); });
}

RealMatrix CpuOps::normalised(RealMatrix x, const Packed& weights) {
  const std::size_t size = static_cast<std::size_t>(x.rows) * x.stride;
  if (normalised_.size() < size) normalised_ = AlignedFloats(size);
  const RealMatrix y{normalised_.data(), x.rows, x.cols, x.stride};
  layer_norm(x, *as<PackedPanels>(weights).norm, y);
  return y;
}

void CpuOps::embed(OperandMatrix patches, const Packed& linear, const Packed& prefix_tokens, const Residual& residual) {
  const RealMatrix x = residual.x;
  const auto& tokens = as<PackedValues>(prefix_tokens);
  const int prefix = tokens.count / x.cols;
  for (int i = 0; i < prefix; i++) {
    std::copy_n(tokens.values.data() + static_cast<std::ptrdiff_t>(i) * x.cols, x.cols,
                floats(x) + static_cast<std::ptrdiff_t>(i) * x.stride);
  }
  GemmJob job = gemm_job(Epilogue::store, patches, linear, x);
  job.out += static_cast<std::ptrdiff_t>(prefix) * x.stride;
  run_gemm(job);
}

void CpuOps::norm_qkv_rope(const Residual& x, const Packed& qkv_weights, const Packed& rope, AttentionShape shape,
                           OperandMatrix qkv) {
  const RealMatrix in = normalised(x.x, qkv_weights);
  for (int image = 0; image < shape.images; image++) {
    GemmJob job = gemm_job(Epilogue::qkv, rows_of(in, image * shape.tokens, shape.tokens), qkv_weights, qkv);
    job.qkv = layout(qkv, shape, image);
    job.qkv.cos = as<PackedRope>(rope).cos.data();
    job.qkv.sin = as<PackedRope>(rope).sin.data();
    run_gemm(job);
  }
}

void CpuOps::attention(OperandMatrix qkv, AttentionShape shape, OperandMatrix out) {
  for (int image = 0; image < shape.images; image++) {
    AttentionJob job{};
    job.qkv = layout(qkv, shape, image);
    job.out = floats(out) + static_cast<std::ptrdiff_t>(image) * shape.tokens * out.stride;
    job.ldo = out.stride;
    job.block = query_block;
    job.blocks = ceil_div(shape.tokens, job.block);
    reserve_scratch(kernels_.attention_scratch(job));
    pool_.run(shape.heads * job.blocks, [&](int item, int thread) { kernels_.attention(job, item, scratch(thread)); });
  }
}

void CpuOps::linear_add(OperandMatrix in, const Packed& linear, const Residual& x) {
  run_gemm(gemm_job(Epilogue::add, in, linear, x.x));
}

void CpuOps::norm_swiglu(const Residual& x, const Packed& swiglu, OperandMatrix out) {
  run_gemm(gemm_job(Epilogue::swiglu, normalised(x.x, swiglu), swiglu, out));
}

void CpuOps::norm_gelu(const Residual& x, const Packed& linear, OperandMatrix out) {
  run_gemm(gemm_job(Epilogue::gelu, normalised(x.x, linear), linear, out));
}

void CpuOps::project_silu(RealMatrix features, const Packed& linear, OperandMatrix out) {
  run_gemm(gemm_job(Epilogue::silu, features, linear, out));
}

void CpuOps::pointwise_silu(OperandMatrix in, const Packed& linear, OperandMatrix out, const SqueezeExcite& squeeze) {
  run_gemm(gemm_job(Epilogue::silu, in, linear, out));
  if (squeeze.weights == nullptr) return;
  const auto& se = as<PackedSqueezeExcite>(*squeeze.weights);
  pool_.run(ceil_div(out.cols, squeeze_channels), [&](int item, int /*thread*/) {
    const int first = item * squeeze_channels, count = std::min(squeeze_channels, out.cols - first);
    double sum[squeeze_channels] = {};
    for (int r = 0; r < out.rows; r++) {
      const float* row = floats(out) + static_cast<std::ptrdiff_t>(r) * out.stride + first;
      for (int c = 0; c < count; c++) sum[c] += row[c];
    }
    float mean[squeeze_channels];
    for (int c = 0; c < count; c++) mean[c] = static_cast<float>(sum[c] / out.rows);
    float* squeezed = floats(squeeze.squeezed) + static_cast<std::ptrdiff_t>(item) * squeeze.squeezed.stride;
    for (int r = 0; r < se.reduced; r++) {
      const float* row = se.fc1.data() + static_cast<std::ptrdiff_t>(r) * se.channels + first;
      squeezed[r] = 0;
      for (int c = 0; c < count; c++) squeezed[r] += row[c] * mean[c];
    }
  });
}

void CpuOps::predict_flow(OperandMatrix in, const Packed& linear, RealMatrix base, RealMatrix flow) {
  GemmJob job = gemm_job(Epilogue::store, in, linear, flow);
  job.base = floats(base);
  job.ld_base = base.stride;
  run_gemm(job);
  check_range(flow, 0, flow.rows);
}

void CpuOps::conv3x3_relu(OperandMatrix in, Grid grid, const Packed& weights, OperandMatrix out) {
  GemmJob job = gemm_job(Epilogue::relu, in, weights, out);
  job.rows = Rows::conv3x3;
  job.grid = grid;
  run_gemm(job);
}

// ---- the other stages -----------------------------------------------------------------------------------------------

void CpuOps::preprocess_patches(const Frame& frame, Grid grid, int patch, OperandMatrix patches) {
  preprocess_.plan(frame, grid.height * patch, grid.width * patch, pool_.size());
  pool_.run(grid.height, [&](int row, int thread) {
    float* out = floats(patches) + static_cast<std::ptrdiff_t>(row) * grid.width * patches.stride;
    preprocess_.patch_row(frame, row, patch, thread, out, patches.stride);
  });
}

void CpuOps::layer_norm(RealMatrix x, const Packed& norm, RealMatrix out) {
  const auto& weights = as<PackedNorm>(norm);
  const NormJob job{floats(x),           x.stride,        x.cols,      weights.gamma.data(),
                    weights.beta.data(), weights.epsilon, floats(out), out.stride};
  // Beyond this, the sum of squares overflows, and `out` would be beta: finite, and wrong.
  const float limit = std::sqrt(std::numeric_limits<float>::max() / static_cast<float>(x.cols)) / 2;
  constexpr int rows = 32;
  pool_.run(ceil_div(x.rows, rows), [&](int item, int /*thread*/) {
    const int first = item * rows, last = std::min(x.rows, first + rows);
    for (int r = first; r < last; r++) kernels_.layer_norm(job, r);
    check_range(x, first, last - first, limit);
    check_range(out, first, last - first);
  });
}

void CpuOps::check_range(RealMatrix m, int first, int count, float limit) {
  bool in_range = true;
  for (int r = first; r < first + count; r++) {
    const float* row = floats(m) + static_cast<std::ptrdiff_t>(r) * m.stride;
    for (int c = 0; c < m.cols; c++) in_range &= std::abs(row[c]) <= limit;  // false for NaN
  }
  if (!in_range) in_range_ = false;
}

void CpuOps::correlation_concat(OperandMatrix a, OperandMatrix b, Grid grid, int radius, OperandMatrix out) {
  const CorrelationJob job{floats(a), a.stride, floats(b), b.stride, a.cols, grid, radius, floats(out), out.stride};
  pool_.run(grid.height, [&](int y, int /*thread*/) { kernels_.correlation(job, y); });
}

void CpuOps::depthwise(OperandMatrix in, const SqueezeExcite& excite, RealMatrix extra, Grid grid,
                       const Packed& weights, OperandMatrix out) {
  const auto& taps = as<PackedDepthwise>(weights);
  const DepthwiseJob job{floats(in), in.stride, in.cols,          scale_of(excite), floats(extra), extra.stride,
                         extra.cols, grid,      taps.taps.data(), taps.stride,      floats(out),   out.stride};
  pool_.run(grid.height, [&](int y, int /*thread*/) { kernels_.depthwise(job, y); });
}

/// The factors of the channels, in memory of the weights; null for factors of 1.
const float* CpuOps::scale_of(const SqueezeExcite& excite) {
  if (excite.weights == nullptr) return nullptr;
  const auto& se = as<PackedSqueezeExcite>(*excite.weights);
  const RealMatrix squeezed = excite.squeezed;
  float *hidden = se.hidden.data(), *scale = se.scale.data();
  for (int r = 0; r < se.reduced; r++) {
    float y = se.bias1.data()[r];
    for (int slice = 0; slice < squeezed.rows; slice++) {
      y += floats(squeezed)[static_cast<std::ptrdiff_t>(slice) * squeezed.stride + r];
    }
    hidden[r] = y * sigmoid(y);
  }
  for (int c = 0; c < se.channels; c++) {
    const float* row = se.fc2.data() + static_cast<std::ptrdiff_t>(c) * se.reduced;
    float sum = se.bias2.data()[c];
    for (int r = 0; r < se.reduced; r++) sum += row[r] * hidden[r];
    scale[c] = sigmoid(sum);
  }
  return scale;
}

void CpuOps::mask_upsample(OperandMatrix in, RealMatrix flow, Grid grid, const Packed& mask, RealMatrix out) {
  UpsampleJob job{};
  job.gemm = gemm_job(Epilogue::store, in, mask, RealMatrix{});
  job.gemm.grid = grid;
  job.gemm.block = upsample_block / kernels_.tile_rows * kernels_.tile_rows;
  job.gemm.blocks = job.gemm.items = ceil_div(in.rows, job.gemm.block);
  job.gemm.panels_per_item = job.gemm.weights.count;
  job.flow = floats(flow);
  job.ld_flow = flow.stride;
  job.up = as<PackedPanels>(mask).up;
  job.out_x = floats(out);
  job.out_y = floats(out) + static_cast<std::ptrdiff_t>(out.rows) / 2 * out.stride;
  job.ldo = out.stride;
  reserve_scratch(kernels_.upsample_scratch(job));
  pool_.run(job.gemm.items, [&](int item, int thread) { kernels_.upsample(job, item, scratch(thread)); });
  pool_.run(out.rows, [&](int row, int /*thread*/) { check_range(out, row, 1); });
}

void CpuOps::resize_flow(RealMatrix in, RealMatrix out) {
  const int h = in.rows / 2, w = in.cols, to_h = out.rows / 2, to_w = out.cols;
  const float step_y = static_cast<float>(h) / static_cast<float>(to_h),
              step_x = static_cast<float>(w) / static_cast<float>(to_w);
  pool_.run(out.rows, [&](int row, int /*thread*/) {
    const int plane = row / to_h, y = row % to_h;
    const float scale = plane == 0 ? static_cast<float>(to_w) / static_cast<float>(w)
                                   : static_cast<float>(to_h) / static_cast<float>(h);
    const float source_y = std::max(0.F, (static_cast<float>(y) + 0.5F) * step_y - 0.5F);
    const int y0 = static_cast<int>(source_y), y1 = std::min(y0 + 1, h - 1);
    const float fraction_y = source_y - static_cast<float>(y0);
    const float* upper = floats(in) + (static_cast<std::ptrdiff_t>(plane) * h + y0) * in.stride;
    const float* lower = floats(in) + (static_cast<std::ptrdiff_t>(plane) * h + y1) * in.stride;
    float* to = floats(out) + static_cast<std::ptrdiff_t>(row) * out.stride;
    for (int x = 0; x < to_w; x++) {
      const float source_x = std::max(0.F, (static_cast<float>(x) + 0.5F) * step_x - 0.5F);
      const int x0 = static_cast<int>(source_x), x1 = std::min(x0 + 1, w - 1);
      const float fraction_x = source_x - static_cast<float>(x0);
      const float top = upper[x0] * (1 - fraction_x) + upper[x1] * fraction_x;
      const float bottom = lower[x0] * (1 - fraction_x) + lower[x1] * fraction_x;
      to[x] = scale * (top * (1 - fraction_y) + bottom * fraction_y);
    }
  });
}

void CpuOps::match_similarity(OperandMatrix fused, Grid grid, int channels, int radius, RealMatrix similarity) {
  const auto pixels = static_cast<std::size_t>(grid.size());
  if (match_norms_.size() < 2 * pixels) match_norms_ = AlignedFloats(2 * pixels);
  row_sums_.resize(std::max(row_sums_.size(), static_cast<std::size_t>(grid.height)));
  const MatchSimilarityJob job{.fused = {fused.data, fused.rows, fused.cols, fused.stride},
                               .grid = grid,
                               .channels = channels,
                               .radius = radius,
                               .inverse_a = match_norms_.data(),
                               .inverse_b = match_norms_.data() + pixels};
  pool_.run(grid.height, [&](int y, int /*thread*/) { match_norms(job, y); });
  pool_.run(grid.height, [&](int y, int /*thread*/) { row_sums_[static_cast<std::size_t>(y)] = best_cosines(job, y); });
  double sum = 0;
  for (int y = 0; y < grid.height; y++) sum += row_sums_[static_cast<std::size_t>(y)];
  *floats(similarity) = static_cast<float>(sum / grid.size());
}

void CpuOps::match_global(OperandMatrix a, OperandMatrix b, Grid grid, const MatchOptions& options, RealMatrix flow) {
  const int cells = grid.size(), channels = a.cols, panel = 2 * kernels_.lanes, panels = ceil_div(cells, panel);
  const int ld = round_up(channels, widest_panel), ld_scores = panels * panel;
  std::size_t used = 0;
  const auto take = [&](std::size_t count) {
    return std::exchange(used, used + (count + widest_panel - 1) / widest_panel * widest_panel);
  };
  const std::size_t means = take(2 * channels), descriptors = take(2 * static_cast<std::size_t>(cells) * ld),
                    columns = take(static_cast<std::size_t>(ld_scores) * channels), bias = take(ld_scores),
                    scores = take(static_cast<std::size_t>(match_block) * ld_scores), best = take(cells),
                    lead = take(cells), best_back = take(cells), back_score = take(cells);
  if (match_global_.size() < used) match_global_ = AlignedFloats(used);
  float* memory = match_global_.data();
  const MatchGlobalJob job{.a = {a.data, a.rows, a.cols, a.stride},
                           .b = {b.data, b.rows, b.cols, b.stride},
                           .grid = grid,
                           .options = options,
                           .means = memory + means,
                           .descriptors = memory + descriptors,
                           .ld = ld,
                           .panels = memory + columns,
                           .panel = panel,
                           .scores = memory + scores,
                           .ld_scores = ld_scores,
                           .best = reinterpret_cast<int*>(memory + best),
                           .lead = memory + lead,
                           .best_back = reinterpret_cast<int*>(memory + best_back),
                           .back_score = memory + back_score,
                           .flow = flow};
  std::fill_n(memory + bias, ld_scores, 0.F);
  std::fill_n(job.panels, static_cast<std::size_t>(ld_scores) * channels, 0.F);
  pool_.run(2 * ceil_div(channels, mean_block), [&](int item, int /*thread*/) { mean_channels(job, item); });
  pool_.run(2 * grid.height, [&](int item, int /*thread*/) { describe_row(job, item); });
  for (int first = 0; first < cells; first += match_block) {
    const int count = std::min(match_block, cells - first);
    GemmJob product{};
    product.rows = Rows::plain;
    product.epilogue = Epilogue::store;
    product.a = job.descriptors + static_cast<std::ptrdiff_t>(first) * ld;
    product.lda = ld;
    product.m = count;
    product.cols = channels;
    product.weights = {job.panels, memory + bias, panels, channels};
    product.out = job.scores;
    product.ldo = ld_scores;
    run_gemm(product);
    pool_.run(count, [&](int item, int /*thread*/) { match_cell(job, first, item); });
    pool_.run(ceil_div(cells, match_columns), [&](int item, int /*thread*/) { match_back(job, first, count, item); });
  }
  pool_.run(grid.height, [&](int row, int /*thread*/) { accept_row(job, row); });
}

void CpuOps::round_trip(RealMatrix forward, RealMatrix backward, ByteMatrix occlusion, RealMatrix confidence) {
  pool_.run(forward.rows / 2, [&](int y, int /*thread*/) {
    const std::ptrdiff_t row = y;
    round_trip_row(forward, backward, y,
                   occlusion ? static_cast<std::uint8_t*>(occlusion.data) + row * occlusion.stride : nullptr,
                   confidence ? floats(confidence) + row * confidence.stride : nullptr);
  });
}

void CpuOps::color_flow(RealMatrix flow, const FlowColors& colors, ByteMatrix picture) {
  constexpr double epsilon = 1e-5;  // keeps a field without motion from dividing by zero, as in lib/viz
  const int height = flow.rows / 2;
  const auto row = [&](int y) { return floats(flow) + static_cast<std::ptrdiff_t>(y) * flow.stride; };
  double unit = colors.scale;
  if (unit == 0) {
    std::ranges::fill(longest_, 0);
    pool_.run(height, [&](int y, int thread) {
      double& longest = longest_[static_cast<std::size_t>(thread)];
      longest = std::max(longest, longest_motion(row(y), row(height + y), flow.cols));
    });
    unit = std::min(std::ranges::max(longest_), colors.clip_max);
  }
  pool_.run(height, [&](int y, int /*thread*/) {
    auto* rgb = static_cast<std::uint8_t*>(picture.data) + static_cast<std::ptrdiff_t>(y) * picture.stride;
    color_row(row(y), row(height + y), flow.cols, unit + epsilon, colors, rgb);
  });
}

}  // namespace flow::cpu

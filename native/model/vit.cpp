#include "model/vit.h"

#include <array>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <string>

#include "ops/error.h"
#include "ops/half.h"

namespace flow {

namespace {

/// The RoPE periods of a checkpoint that does not store them: 100^(2j / (head_dim / 2)) for j < head_dim / 4.
std::vector<float> rope_periods(int head_dim) {
  std::vector<float> periods(static_cast<std::size_t>(head_dim) / 4);
  for (std::size_t j = 0; j < periods.size(); j++) {
    periods[j] = std::pow(100.F, 2.F * static_cast<float>(j) / (static_cast<float>(head_dim) / 2.F));
  }
  return periods;
}

/// Axial RoPE of DINOv3: patch centres have coordinates in [-1, 1]; the angles of y come before those of x.
PackedPtr pack_rope(Ops& ops, std::span<const float> periods, Grid grid) {
  const std::size_t quarter = periods.size(), half = 2 * quarter;
  std::vector<float> cos(grid.size() * half), sin(cos.size());
  const auto coordinate = [](int i, int n) {
    return 2.F * ((static_cast<float>(i) + .5F) / static_cast<float>(n)) - 1.F;
  };
  for (int row = 0; row < grid.size(); row++) {
    const float y = coordinate(row / grid.width, grid.height), x = coordinate(row % grid.width, grid.width);
    const std::size_t first = row * half;
    for (std::size_t j = 0; j < quarter; j++) {
      const float turn = 2.F * std::numbers::pi_v<float> / periods[j];
      cos[first + j] = std::cos(turn * y);
      sin[first + j] = std::sin(turn * y);
      cos[first + quarter + j] = std::cos(turn * x);
      sin[first + quarter + j] = std::sin(turn * x);
    }
  }
  return ops.pack_rope(cos, sin, static_cast<int>(half));
}

/// Changes the patch embedding to one of pixels as engines prepare them, by ImageNet's m and s: x = (value - m) / s.
/// The backbone expects (value - mean) / deviation, which is x * s / deviation + (m - mean) / deviation. `weight` is
/// dim x (channel, y, x).
void fold_normalization(const Normalization& to, std::span<float> weight, std::span<float> bias) {
  const Normalization from;
  if (to == from) return;
  const std::size_t pixels = weight.size() / bias.size() / 3;
  for (std::size_t row = 0; row < bias.size(); row++) {
    double shift = 0;
    for (std::size_t c = 0; c < 3; c++) {
      // As the engines have them.
      const double mean = static_cast<float>(from.mean[c]), deviation = static_cast<float>(from.deviation[c]);
      const double gain = deviation / to.deviation[c], offset = (mean - to.mean[c]) / to.deviation[c];
      for (float& value : weight.subspan((3 * row + c) * pixels, pixels)) {
        shift += value * offset;
        value = static_cast<float>(value * gain);
      }
    }
    bias[row] = static_cast<float>(bias[row] + shift);
  }
}

// The parts of q k v that Ops::excess and Ops::scale_out name.
enum QkvPart : int { q_part, k_part, v_part };

/// Powers of two between the largest magnitude of a frame and the end of the range, so that the next frame does not
/// need a new scale.
constexpr int headroom = 2;
/// Operands shrink by 2^most_exponent at most. float16 has 24 powers of two below 1, the last ten of which are
/// subnormal: values of the order of 1 keep their digits.
constexpr int most_exponent = 12;

/// The powers of two by which operands must shrink, if their largest magnitude is `excess` times the largest number.
int powers_above(float excess) {
  if (excess == 0) return 0;
  return std::isfinite(excess) ? static_cast<int>(std::ceil(std::log2(excess))) + headroom : 2 * most_exponent + 1;
}

/// The weights of a norm, read.
struct Norm {
  std::vector<float> gamma, beta;
  NormWeights view() const { return {gamma, beta, norm_epsilon}; }
};

/// Reads and packs the weights of the backbone.
struct Loader {
  Ops& ops;
  WeightSource& weights;

  std::vector<float> read(const std::string& name, std::size_t rows, std::size_t cols = 1) const {
    return weights.read(name, rows * cols);
  }
  Norm norm(const std::string& name, int dim) const { return {read(name + ".weight", dim), read(name + ".bias", dim)}; }
  PackedPtr patch_embed(const std::string& name, const BackboneConfig& config) const {
    const int in = 3 * config.patch * config.patch;
    auto weight = read(name + ".weight", in, config.dim), bias = read(name + ".bias", config.dim);
    fold_normalization(config.normalization, weight, bias);
    return ops.pack_linear({in, config.dim, weight, bias});
  }
  PackedPtr scaled_linear(const std::string& name, const std::string& gamma, int in, int out) const {
    const auto weight = read(name + ".weight", in, out), bias = read(name + ".bias", out), gain = read(gamma, out);
    return ops.pack_linear({in, out, weight, bias, gain});
  }
  PackedPtr qkv(const Norm& norm, const std::string& name, const BackboneConfig& config) const {
    const auto weight = read(name + ".weight", 3 * config.dim, config.dim);
    auto bias = read(name + ".bias", 3 * config.dim);
    if (weights.has(name + ".bias_mask")) {
      const auto mask = read(name + ".bias_mask", bias.size());
      for (std::size_t i = 0; i < bias.size(); i++) bias[i] *= mask[i];
    }
    return ops.pack_qkv(norm.view(), {config.dim, 3 * config.dim, weight, bias}, config.heads);
  }
  PackedPtr gelu(const Norm& norm, const std::string& name, const BackboneConfig& config) const {
    const auto weight = read(name + ".weight", config.hidden, config.dim), bias = read(name + ".bias", config.hidden);
    return ops.pack_norm_linear(norm.view(), {config.dim, config.hidden, weight, bias});
  }
  PackedPtr swiglu(const Norm& norm, const std::string& name, const BackboneConfig& config) const {
    const auto w1 = read(name + ".w1.weight", config.hidden, config.dim), b1 = read(name + ".w1.bias", config.hidden);
    const auto w2 = read(name + ".w2.weight", config.hidden, config.dim), b2 = read(name + ".w2.bias", config.hidden);
    return ops.pack_swiglu(norm.view(), {config.dim, config.hidden, w1, b1}, {config.dim, config.hidden, w2, b2});
  }
};

}  // namespace

Vit::Vit(Ops& ops, const BackboneConfig& config, WeightSource& weights) : ops_(ops), config_(config) {
  const Loader load{ops, weights};
  const int dim = config.dim;

  periods_ = weights.has("rope_embed.periods") ? load.read("rope_embed.periods", config.head_dim() / 4)
                                               : rope_periods(config.head_dim());
  for (float& period : periods_) {
    if (config.rope_periods == BackboneConfig::RopePeriods::rounded) period = from_bf16(to_bf16(period));
    if (period <= 0) throw Error(ErrorCode::checkpoint_tensor, "rope_embed.periods: a period is not positive");
  }
  auto tokens = load.read("cls_token", dim);
  if (config.storage_tokens > 0) {
    const auto storage = load.read("storage_tokens", config.storage_tokens, dim);
    tokens.insert(tokens.end(), storage.begin(), storage.end());
  }
  prefix_tokens_ = ops.pack_values(tokens);
  patch_embed_ = load.patch_embed("patch_embed.proj", config);

  for (int i = 0; i < config.depth; i++) {
    const std::string name = "blocks." + std::to_string(i) + ".";
    const bool gated = config.ffn == BackboneConfig::Ffn::swiglu;
    Block block;
    block.qkv = load.qkv(load.norm(name + "norm1", dim), name + "attn.qkv", config);
    block.proj = load.scaled_linear(name + "attn.proj", name + "ls1.gamma", dim, dim);
    const Norm norm2 = load.norm(name + "norm2", dim);
    block.ffn_in = gated ? load.swiglu(norm2, name + "mlp", config) : load.gelu(norm2, name + "mlp.fc1", config);
    block.ffn_out = load.scaled_linear(name + (gated ? "mlp.w3" : "mlp.fc2"), name + "ls2.gamma", config.hidden, dim);
    blocks_.push_back(std::move(block));
  }
  norm_ = ops.pack_norm(load.norm("norm", dim).view());
}

Vit::Plan::Plan(Ops& ops, const BackboneConfig& config, std::span<const float> periods, Grid grid, int images)
    : grid(grid),
      shape{config.prefix() + grid.size(), config.prefix(), config.heads, config.head_dim(), images},
      rope(pack_rope(ops, periods, grid)),
      arena(ops, [&](Arena& a) { lay_out(a, ops, config); }) {}

void Vit::Plan::lay_out(Arena& arena, Ops& ops, const BackboneConfig& config) {
  patches = arena.matrix<Operand>(shape.images * grid.size(), 3 * config.patch * config.patch);
  x.x = arena.matrix<Real>(shape.rows(), config.dim);
  if (const int columns = ops.moment_columns(config.dim); columns > 0) {
    const bool rounds = ops.operand_bytes() != sizeof(float);
    x.operands = rounds ? arena.matrix<Operand>(shape.rows(), config.dim)
                        : OperandMatrix{x.x.data, x.x.rows, x.x.cols, x.x.stride};
    x.moments = arena.matrix<Real>(shape.rows(), columns);
  }
  qkv = arena.block<Operand>(ops.qkv_elements(shape));
  attended = arena.matrix<Operand>(shape.rows(), config.dim);
  hidden = arena.matrix<Operand>(shape.rows(), config.hidden);
}

// ---- range of operands ----------------------------------------------------------------------------------------------

/// The exponent that brings operands into range, as far as the last pass tells.
int Vit::exponent_in_range(const Block& block, Operands operands) const {
  const int now = block.exponents.at(operands);
  const auto shrunk = [&](const Packed& from, int part = 0) { return now - powers_above(ops_.excess(from, part)); };
  switch (operands) {
    case query_operands: {  // softmax(q k^T) stays as it is if q shrinks and k grows, and the other way round
      const float q = ops_.excess(*block.qkv, q_part), k = ops_.excess(*block.qkv, k_part);
      return q != 0 && k != 0 ? now : now - powers_above(q) + powers_above(k);
    }
    case value_operands: return shrunk(*block.qkv, v_part);
    case hidden_operands: return shrunk(*block.ffn_in);
    case operands_count: break;
  }
  return now;
}

/// Multiplies operands by 2^exponent where they are stored, and undoes it where they are read.
void Vit::scale(Block& block, Operands operands, int exponent) {
  switch (operands) {
    case query_operands:
      ops_.scale_out(*block.qkv, q_part, exponent);
      ops_.scale_out(*block.qkv, k_part, -exponent);
      break;
    case value_operands:  // attention is linear in v
      ops_.scale_out(*block.qkv, v_part, exponent);
      ops_.scale_in(*block.proj, exponent);
      break;
    case hidden_operands:  // after the activation
      ops_.scale_out(*block.ffn_in, 0, exponent);
      ops_.scale_in(*block.ffn_out, exponent);
      break;
    case operands_count: return;
  }
  block.exponents.at(operands) = exponent;
}

bool Vit::take_norms_apart() {
  bool changed = false;
  for (Block& block : blocks_) {
    for (Packed* const weights : {block.qkv.get(), block.ffn_in.get()}) changed |= ops_.norm_apart(*weights);
  }
  return changed;
}

bool Vit::scale_operands() {
  bool changed = false;
  for (Block& block : blocks_) {
    for (int i = 0; i < operands_count; i++) {
      const auto operands = static_cast<Operands>(i);
      const int exponent = exponent_in_range(block, operands);
      if (exponent == block.exponents.at(operands) || std::abs(exponent) > most_exponent) continue;
      scale(block, operands, exponent);
      changed = true;
    }
  }
  return changed;
}

std::vector<Numerics::Scaled> Vit::scaled() const {
  constexpr std::array<const char*, operands_count> names{"queries", "values", "hidden"};
  std::vector<Numerics::Scaled> all;
  for (std::size_t block = 0; block < blocks_.size(); block++) {
    for (std::size_t i = 0; i < operands_count; i++) {
      const int exponent = blocks_[block].exponents.at(i);
      if (exponent != 0) all.push_back({static_cast<int>(block), names.at(i), exponent});
    }
  }
  return all;
}

// ---- the pass -------------------------------------------------------------------------------------------------------

/// The rows of one image.
OperandMatrix Vit::patches_of(const Plan& plan, int image) const {
  const int patches = plan.grid.size();
  return rows_of(plan.patches, image * patches, patches, ops_.operand_bytes());
}

void Vit::run(std::span<const Image> images, Plan& plan, Trace* trace) const {
  std::array<RealMatrix, most_images> features;
  for (std::size_t i = 0; i < images.size(); i++) {
    ops_.preprocess_patches(images[i].frame, plan.grid, config_.patch, patches_of(plan, static_cast<int>(i)));
    features.at(i) = images[i].features;
  }
  encode(plan, std::span(features).first(images.size()), trace);
}

void Vit::run(const Image& image, Plan& plan, CompiledBackbone& compiled) const {
  ops_.preprocess_patches(image.frame, plan.grid, config_.patch, patches_of(plan, 0));
  compiled.run(patches_of(plan, 0), image.features);
}

void Vit::encode(Plan& plan, std::span<const RealMatrix> features, Trace* trace) const {
  const Residual& x = plan.x;
  const int patches = plan.grid.size(), tokens = plan.shape.tokens;
  const auto patch_tokens = [&](int image) { return rows_of(x.x, image * tokens + plan.shape.prefix, patches); };
  const int count = static_cast<int>(features.size());

  for (int i = 0; i < count; i++) {
    ops_.embed(patches_of(plan, i), *patch_embed_, *prefix_tokens_,
               rows_of(x, i * tokens, tokens, ops_.operand_bytes()));
  }
  if (trace) trace->record(ops_, "input", plan.patches);
  if (trace) trace->record(ops_, "patch_tokens", patch_tokens(0));

  for (std::size_t i = 0; i < blocks_.size(); i++) {
    const Block& block = blocks_[i];
    ops_.norm_qkv_rope(x, *block.qkv, *plan.rope, plan.shape, plan.qkv);
    ops_.attention(plan.qkv, plan.shape, plan.attended);
    ops_.linear_add(plan.attended, *block.proj, x);
    if (config_.ffn == BackboneConfig::Ffn::swiglu) {
      ops_.norm_swiglu(x, *block.ffn_in, plan.hidden);
    } else {
      ops_.norm_gelu(x, *block.ffn_in, plan.hidden);
    }
    ops_.linear_add(plan.hidden, *block.ffn_out, x);
    if (trace) trace->record(ops_, "block" + std::to_string(i), x.x);
  }

  for (int i = 0; i < count; i++) ops_.layer_norm(patch_tokens(i), *norm_, features[static_cast<std::size_t>(i)]);
  if (trace) trace->record(ops_, "features", features[0]);
}

}  // namespace flow

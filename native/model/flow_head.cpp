#include "model/flow_head.h"

#include <algorithm>
#include <cmath>

#include "ops/error.h"

namespace flow {

/// Reads, folds and packs the weights of the head.
struct FlowHead::Loader {
  Ops& ops;
  WeightSource& weights;

  /// Folds a batch normalisation into the convolution before it, which has no bias. With gain = gamma / sqrt(var +
  /// eps), the weight is W gain and the bias is beta - mean gain.
  PackedPtr folded_linear(const std::string& conv, const std::string& bn, int in, int out) const {
    auto weight = weights.read(conv + ".weight", static_cast<std::size_t>(in) * out);
    auto bias = weights.read(bn + ".bias", out);
    const auto gamma = weights.read(bn + ".weight", out), mean = weights.read(bn + ".running_mean", out),
               variance = weights.read(bn + ".running_var", out);
    for (int o = 0; o < out; o++) {
      if (variance[o] < 0) throw Error(ErrorCode::checkpoint_tensor, bn + ".running_var: a variance is negative");
      const float gain = gamma[o] / std::sqrt(variance[o] + norm_epsilon);
      for (int i = 0; i < in; i++) weight[static_cast<std::size_t>(o) * in + i] *= gain;
      bias[o] -= mean[o] * gain;
    }
    return ops.pack_linear({in, out, weight, bias});
  }

  PackedPtr flow(const std::string& name, int in) const {
    const auto weight = weights.read(name + ".weight", 2 * static_cast<std::size_t>(in));
    const auto bias = weights.read(name + ".bias", 2);
    return ops.pack_flow({in, 2, weight, bias});
  }

  DsConv ds_conv(const std::string& name, int in, int out) const {
    const auto taps = weights.read(name + ".dw.weight", static_cast<std::size_t>(in) * 9);
    return {ops.pack_depthwise(taps, in), folded_linear(name + ".pw", name + ".bn", in, out), in};
  }

  Squeezer squeeze_excite(const std::string& name, int channels) const {
    const int reduced = weights.extent(name + ".fc1.weight", 0);
    const std::size_t size = static_cast<std::size_t>(channels) * reduced;
    const auto w1 = weights.read(name + ".fc1.weight", size), b1 = weights.read(name + ".fc1.bias", reduced);
    const auto w2 = weights.read(name + ".fc2.weight", size), b2 = weights.read(name + ".fc2.bias", channels);
    return {ops.pack_squeeze_excite({{channels, reduced, w1, b1}, {reduced, channels, w2, b2}}), reduced};
  }

  std::vector<Group> trunk(const std::string& name, int groups, int channels) const {
    std::vector<Group> trunk;
    for (int i = 0; i < groups; i++) {
      const auto layer = [&](int n) { return name + "." + std::to_string(3 * i + n); };
      trunk.push_back({ds_conv(layer(0), channels, channels), squeeze_excite(layer(1), channels),
                       ds_conv(layer(2), channels, channels)});
    }
    return trunk;
  }
};

FlowHead::FlowHead(Ops& ops, const HeadConfig& config, int in_channels, WeightSource& weights)
    : ops_(ops), config_(config) {
  const Loader load{ops, weights};
  const int f = config.fusion, mask_channels = 9 * config.up * config.up;

  proj1_ = load.folded_linear("proj1", "bn1", in_channels, config.proj);
  proj2_ = load.folded_linear("proj2", "bn2", in_channels, config.proj);
  fuse_in_ = load.ds_conv("fuse_in.0", config.fused(), f);
  fuse_in_squeezer_ = load.squeeze_excite("fuse_in.1", f);
  fuse_trunk_ = load.trunk("fuse_trunk.net", config.layers, f);
  flow_conv_ = load.ds_conv("flow_head.0", f, f);
  flow_out_ = load.flow("flow_head.1", f);
  if (config.refine > 0) {
    refine_in_ = load.ds_conv("refine.0", f + 2, f);
    refine_trunk_ = load.trunk("refine.1.net", config.refine, f);
    refine_out_ = load.flow("refine.2", f);
  }
  const std::string mask = "convex_upsampler.mask_head";
  const auto conv = weights.read(mask + ".0.weight", static_cast<std::size_t>(f) * f * 9);
  const auto conv_bias = weights.read(mask + ".0.bias", f);
  mask_conv_ = ops.pack_conv3x3({f, f, conv, conv_bias});
  const auto out = weights.read(mask + ".2.weight", static_cast<std::size_t>(f) * mask_channels);
  const auto out_bias = weights.read(mask + ".2.bias", mask_channels);
  mask_out_ = ops.pack_mask({f, mask_channels, out, out_bias}, config.up);
}

FlowHead::Plan FlowHead::plan(Grid grid) const {
  int reduced = fuse_in_squeezer_.reduced;
  for (const auto* trunk : {&fuse_trunk_, &refine_trunk_}) {
    for (const Group& group : *trunk) reduced = std::max(reduced, group.squeezer.reduced);
  }
  return {ops_, config_, grid, reduced};
}

FlowHead::Plan::Plan(Ops& ops, const HeadConfig& config, Grid grid, int reduced)
    : grid(grid), arena(ops, [&](Arena& a) { lay_out(a, config, reduced); }) {}

void FlowHead::Plan::lay_out(Arena& arena, const HeadConfig& config, int reduced) {
  const int n = grid.size();
  proj1 = arena.matrix<Operand>(n, config.proj);
  proj2 = arena.matrix<Operand>(n, config.proj);
  fused = arena.matrix<Operand>(n, config.fused());
  depthwise = arena.matrix<Operand>(n, config.fused() > config.fusion + 2 ? config.fused() : config.fusion + 2);
  x = arena.matrix<Operand>(n, config.fusion);
  y = arena.matrix<Operand>(n, config.fusion);
  trunk = arena.matrix<Operand>(n, config.fusion);
  mask_hidden = arena.matrix<Operand>(n, config.fusion);
  squeezed = arena.matrix<Real>((config.fusion + squeeze_channels - 1) / squeeze_channels, reduced);
  coarse = arena.matrix<Real>(n, 2);
  refined = arena.matrix<Real>(n, 2);
  upsampled = arena.matrix<Real>(2 * grid.height * config.up, grid.width * config.up);
  matched = arena.matrix<Real>(2 * grid.height, grid.width);
}

SqueezeExcite FlowHead::Squeezer::in(const Plan& plan) const {
  RealMatrix squeezed = plan.squeezed;
  squeezed.cols = reduced;
  return {weights.get(), squeezed};
}

void FlowHead::ds_conv(const DsConv& conv, OperandMatrix in, const SqueezeExcite& excite, RealMatrix extra, Plan& plan,
                       OperandMatrix out, const SqueezeExcite& squeeze) const {
  OperandMatrix between = plan.depthwise;
  between.cols = conv.in;
  ops_.depthwise(in, excite, extra, plan.grid, *conv.depthwise, between);
  ops_.pointwise_silu(between, *conv.pointwise, out, squeeze);
}

/// x = trunk(x * s); s is that of `excite`.
void FlowHead::trunk(const std::vector<Group>& groups, SqueezeExcite excite, OperandMatrix x, Plan& plan) const {
  for (const Group& group : groups) {
    const SqueezeExcite within = group.squeezer.in(plan);
    ds_conv(group.first, x, excite, {}, plan, plan.y, within);
    ds_conv(group.second, plan.y, within, {}, plan, x, {});
    excite = {};
  }
}

/// Records x * s, which no stage stores: it is x after a depthwise convolution that changes nothing else.
void FlowHead::record_excited(Trace& trace, const std::string& name, OperandMatrix x, const SqueezeExcite& excite,
                              Plan& plan) const {
  constexpr int taps = 9, middle = 4;
  std::vector<float> identity(static_cast<std::size_t>(x.cols) * taps);
  for (int c = 0; c < x.cols; c++) identity[static_cast<std::size_t>(c) * taps + middle] = 1;
  const PackedPtr weights = ops_.pack_depthwise(identity, x.cols);
  ops_.depthwise(x, excite, {}, plan.grid, *weights, plan.y);
  trace.record(ops_, name, plan.y);
}

void FlowHead::run(RealMatrix a, RealMatrix b, Plan& plan, RealMatrix out, RealMatrix similarity, Trace* trace) const {
  const Grid grid = plan.grid;

  ops_.project_silu(a, *proj1_, plan.proj1);
  ops_.project_silu(b, *proj2_, plan.proj2);
  ops_.correlation_concat(plan.proj1, plan.proj2, grid, config_.radius, plan.fused);
  if (similarity) ops_.match_similarity(plan.fused, grid, config_.proj, config_.radius, similarity);
  if (trace) trace->record(ops_, "proj1", plan.proj1);
  if (trace) trace->record(ops_, "proj2", plan.proj2);
  if (trace) trace->record(ops_, "fused", plan.fused);

  const SqueezeExcite fuse_in = fuse_in_squeezer_.in(plan);
  ds_conv(fuse_in_, plan.fused, {}, {}, plan, plan.trunk, fuse_in);
  if (trace) record_excited(*trace, "fuse_in", plan.trunk, fuse_in, plan);
  trunk(fuse_trunk_, fuse_in, plan.trunk, plan);
  if (trace) trace->record(ops_, "fuse_trunk", plan.trunk);

  // The largest launch after the trunk needs no flow. The others are many and short, and leave it room in their gaps.
  const auto mask_conv = [&] { ops_.conv3x3_relu(plan.trunk, grid, *mask_conv_, plan.mask_hidden); };
  ops_.fork(std::cref(mask_conv));  // by reference: std::function would allocate for so many captures
  ds_conv(flow_conv_, plan.trunk, {}, {}, plan, plan.x, {});
  ops_.predict_flow(plan.x, *flow_out_, {}, plan.coarse);
  if (trace) trace->record(ops_, "coarse_flow", plan.coarse);
  RealMatrix flow = plan.coarse;
  if (config_.refine > 0) {
    ds_conv(refine_in_, plan.trunk, {}, plan.coarse, plan, plan.x, {});
    trunk(refine_trunk_, {}, plan.x, plan);
    ops_.predict_flow(plan.x, *refine_out_, plan.coarse, plan.refined);
    flow = plan.refined;
  }
  if (trace) trace->record(ops_, "refined_flow", flow);

  ops_.join();
  if (trace) trace->record(ops_, "mask_hidden", plan.mask_hidden);
  const bool resize = out && (out.rows != plan.upsampled.rows || out.cols != plan.upsampled.cols);
  const RealMatrix upsampled = resize || !out ? plan.upsampled : out;
  ops_.mask_upsample(plan.mask_hidden, flow, grid, *mask_out_, upsampled);
  if (trace) trace->record(ops_, "flow_up", upsampled);
  if (resize) ops_.resize_flow(upsampled, out);
}

}  // namespace flow

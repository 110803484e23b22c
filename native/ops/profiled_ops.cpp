#include "ops/profiled_ops.h"

#include <chrono>

namespace flow {

namespace {

/// Floating-point operations of a GEMM: two per multiply-add.
double gemm(double rows, double in, double out) { return 2 * rows * in * out; }

}  // namespace

template <class Stage>
void ProfiledOps::time(const char* name, double flop, const Stage& stage) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  stage();
  inner_->finish();
  Entry& entry = profile_[name];
  entry.calls++;
  entry.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  entry.flop += flop;
}

void ProfiledOps::preprocess_patches(const Frame& frame, Grid grid, int patch, OperandMatrix patches) {
  time("preprocess_patches", 0, [&] { inner_->preprocess_patches(frame, grid, patch, patches); });
}

void ProfiledOps::embed(OperandMatrix patches, const Packed& linear, const Packed& prefix_tokens, const Residual& x) {
  time("embed", gemm(patches.rows, patches.cols, x.x.cols), [&] { inner_->embed(patches, linear, prefix_tokens, x); });
}

void ProfiledOps::norm_qkv_rope(const Residual& x, const Packed& qkv_weights, const Packed& rope, AttentionShape shape,
                                OperandMatrix qkv) {
  time("norm_qkv_rope", gemm(x.x.rows, x.x.cols, 3.0 * x.x.cols),
       [&] { inner_->norm_qkv_rope(x, qkv_weights, rope, shape, qkv); });
}

void ProfiledOps::attention(OperandMatrix qkv, AttentionShape shape, OperandMatrix out) {
  time("attention", 2 * gemm(shape.rows(), shape.tokens, out.cols), [&] { inner_->attention(qkv, shape, out); });
}

void ProfiledOps::linear_add(OperandMatrix in, const Packed& linear, const Residual& x) {
  time("linear_add", gemm(in.rows, in.cols, x.x.cols), [&] { inner_->linear_add(in, linear, x); });
}

void ProfiledOps::norm_swiglu(const Residual& x, const Packed& swiglu, OperandMatrix out) {
  time("norm_swiglu", gemm(x.x.rows, x.x.cols, 2.0 * out.cols), [&] { inner_->norm_swiglu(x, swiglu, out); });
}

void ProfiledOps::norm_gelu(const Residual& x, const Packed& linear, OperandMatrix out) {
  time("norm_gelu", gemm(x.x.rows, x.x.cols, out.cols), [&] { inner_->norm_gelu(x, linear, out); });
}

void ProfiledOps::layer_norm(RealMatrix x, const Packed& norm, RealMatrix out) {
  time("layer_norm", 0, [&] { inner_->layer_norm(x, norm, out); });
}

void ProfiledOps::project_silu(RealMatrix features, const Packed& linear, OperandMatrix out) {
  time("project_silu", gemm(features.rows, features.cols, out.cols),
       [&] { inner_->project_silu(features, linear, out); });
}

void ProfiledOps::correlation_concat(OperandMatrix a, OperandMatrix b, Grid grid, int radius, OperandMatrix out) {
  const int side = 2 * radius + 1;
  time("correlation_concat", gemm(a.rows, a.cols, side * side),
       [&] { inner_->correlation_concat(a, b, grid, radius, out); });
}

void ProfiledOps::depthwise(OperandMatrix in, const SqueezeExcite& excite, RealMatrix extra, Grid grid,
                            const Packed& weights, OperandMatrix out) {
  time("depthwise", gemm(out.rows, 9, out.cols), [&] { inner_->depthwise(in, excite, extra, grid, weights, out); });
}

void ProfiledOps::pointwise_silu(OperandMatrix in, const Packed& linear, OperandMatrix out,
                                 const SqueezeExcite& squeeze) {
  time("pointwise_silu", gemm(in.rows, in.cols, out.cols), [&] { inner_->pointwise_silu(in, linear, out, squeeze); });
}

void ProfiledOps::predict_flow(OperandMatrix in, const Packed& linear, RealMatrix base, RealMatrix flow) {
  time("predict_flow", gemm(in.rows, in.cols, 2), [&] { inner_->predict_flow(in, linear, base, flow); });
}

void ProfiledOps::conv3x3_relu(OperandMatrix in, Grid grid, const Packed& weights, OperandMatrix out) {
  time("conv3x3_relu", gemm(in.rows, 9.0 * in.cols, out.cols), [&] { inner_->conv3x3_relu(in, grid, weights, out); });
}

void ProfiledOps::mask_upsample(OperandMatrix in, RealMatrix flow, Grid grid, const Packed& mask, RealMatrix out) {
  const double cells = 0.5 * out.rows * out.cols;  // each has a mask of 9 taps
  time("mask_upsample", gemm(9 * cells, in.cols, 1), [&] { inner_->mask_upsample(in, flow, grid, mask, out); });
}

void ProfiledOps::resize_flow(RealMatrix in, RealMatrix out) {
  time("resize_flow", 0, [&] { inner_->resize_flow(in, out); });
}

void ProfiledOps::match_similarity(OperandMatrix fused, Grid grid, int channels, int radius, RealMatrix similarity) {
  time("match_similarity", 4.0 * grid.size() * channels,
       [&] { inner_->match_similarity(fused, grid, channels, radius, similarity); });
}

void ProfiledOps::match_global(OperandMatrix a, OperandMatrix b, Grid grid, const MatchOptions& options,
                               RealMatrix flow) {
  time("match_global", gemm(a.rows, a.cols, b.rows), [&] { inner_->match_global(a, b, grid, options, flow); });
}

void ProfiledOps::round_trip(RealMatrix forward, RealMatrix backward, ByteMatrix occlusion, RealMatrix confidence) {
  time("round_trip", 0, [&] { inner_->round_trip(forward, backward, occlusion, confidence); });
}

void ProfiledOps::color_flow(RealMatrix flow, const FlowColors& colors, ByteMatrix picture) {
  time("color_flow", 0, [&] { inner_->color_flow(flow, colors, picture); });
}

void ProfiledOps::image_pyramid(const Frame& frame, std::span<const Image> levels) {
  time("image_pyramid", 0, [&] { inner_->image_pyramid(frame, levels); });
}

void ProfiledOps::patch_templates(const Image& image, PatchGrid grid, RealMatrix templates) {
  time("patch_templates", 0, [&] { inner_->patch_templates(image, grid, templates); });
}

void ProfiledOps::search_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                                 std::span<const RealMatrix> hypotheses, bool zero, const SearchOptions& options,
                                 RealMatrix found) {
  time("search_patches", 0,
       [&] { inner_->search_patches(from, to, grid, templates, hypotheses, zero, options, found); });
}

void ProfiledOps::vote_patches(PatchGrid grid, RealMatrix templates, int count, const SearchOptions& options,
                               RealMatrix found, RealMatrix patches) {
  time("vote_patches", 0, [&] { inner_->vote_patches(grid, templates, count, options, found, patches); });
}

void ProfiledOps::propagate_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                                    RealMatrix patches, const SearchOptions& options, RealMatrix out) {
  time("propagate_patches", 0, [&] { inner_->propagate_patches(from, to, grid, templates, patches, options, out); });
}

void ProfiledOps::fit_exposure(const Image& to, PatchGrid grid, RealMatrix templates, RealMatrix patches,
                               RealMatrix exposure) {
  time("fit_exposure", 0, [&] { inner_->fit_exposure(to, grid, templates, patches, exposure); });
}

void ProfiledOps::densify_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                                  RealMatrix patches, RealMatrix exposure, RealMatrix flow, RealMatrix sure) {
  time("densify_patches", 0,
       [&] { inner_->densify_patches(from, to, grid, templates, patches, exposure, flow, sure); });
}

void ProfiledOps::find_covered(RealMatrix flow, RealMatrix sure, RealMatrix best) {
  time("find_covered", 0, [&] { inner_->find_covered(flow, sure, best); });
}

void ProfiledOps::check_return(RealMatrix flow, RealMatrix back, float scale, RealMatrix sure) {
  time("check_return", 0, [&] { inner_->check_return(flow, back, scale, sure); });
}

void ProfiledOps::fill_flow(const Image& image, RealMatrix flow, RealMatrix sure, const FillOptions& options,
                            RealMatrix scratch) {
  time("fill_flow", 0, [&] { inner_->fill_flow(image, flow, sure, options, scratch); });
}

void ProfiledOps::refine_variational(const Image& from, const Image& to, int plane, RealMatrix flow,
                                     const VariationalOptions& options, RealMatrix out) {
  time("refine_variational", 0, [&] { inner_->refine_variational(from, to, plane, flow, options, out); });
}

void ProfiledOps::measure_flow(const Image& from, const Image& to, RealMatrix exposure, RealMatrix sure,
                               RealMatrix flow, RealMatrix back, RealMatrix measures) {
  time("measure_flow", 0, [&] { inner_->measure_flow(from, to, exposure, sure, flow, back, measures); });
}

void ProfiledOps::rate_flow(RealMatrix measures, const ConfidenceWeights& weights, RealMatrix rated, float scale_down,
                            float scale_across, RealMatrix confidence) {
  time("rate_flow", 0, [&] { inner_->rate_flow(measures, weights, rated, scale_down, scale_across, confidence); });
}

void ProfiledOps::double_flow(RealMatrix flow, RealMatrix out) {
  time("double_flow", 0, [&] { inner_->double_flow(flow, out); });
}

void ProfiledOps::sharpen_edges(const Image& image, const Image& half, RealMatrix flow, RealMatrix sure,
                                const SharpenOptions& options, RealMatrix out) {
  time("sharpen_edges", 0, [&] { inner_->sharpen_edges(image, half, flow, sure, options, out); });
}

void ProfiledOps::clear_first_label(const Labels& labels) {
  time("clear_first_label", 0, [&] { inner_->clear_first_label(labels); });
}

void ProfiledOps::census_costs(const Image& from, const Image& to, RealMatrix exposure, const Labels& labels, int first,
                               int count, const LabelOptions& options) {
  time("census_costs", 0, [&] { inner_->census_costs(from, to, exposure, labels, first, count, options); });
}

void ProfiledOps::rate_costs(const Labels& labels, const LabelOptions& options) {
  time("rate_costs", 0, [&] { inner_->rate_costs(labels, options); });
}

void ProfiledOps::fit_motions(const Labels& labels, const LabelOptions& options) {
  time("fit_motions", 0, [&] { inner_->fit_motions(labels, options); });
}

void ProfiledOps::charge_outside(const Labels& labels, const LabelOptions& options) {
  time("charge_outside", 0, [&] { inner_->charge_outside(labels, options); });
}

void ProfiledOps::choose_labels(const Image& image, const Labels& labels, const LabelOptions& options,
                                RealMatrix chosen) {
  time("choose_labels", 0, [&] { inner_->choose_labels(image, labels, options, chosen); });
}

void ProfiledOps::charge_covered(const Labels& labels, const LabelOptions& options, RealMatrix chosen,
                                 RealMatrix claims) {
  time("charge_covered", 0, [&] { inner_->charge_covered(labels, options, chosen, claims); });
}

void ProfiledOps::take_labels(const Labels& labels, RealMatrix chosen, RealMatrix flow) {
  time("take_labels", 0, [&] { inner_->take_labels(labels, chosen, flow); });
}

}  // namespace flow

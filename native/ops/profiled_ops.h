#pragma once

#include <map>
#include <memory>
#include <string>

#include "ops/ops.h"

namespace flow {

/// Wraps an engine and measures every stage: calls, seconds and floating-point operations by the stage's name. It waits
/// for every stage, so a profiled frame is slower than a plain one if the engine overlaps stages. A branch runs in its
/// turn.
class ProfiledOps : public Ops {
 public:
  struct Entry {
    int calls = 0;
    double seconds = 0;
    double flop = 0;
  };
  using Profile = std::map<std::string, Entry>;

  explicit ProfiledOps(std::unique_ptr<Ops> inner) : inner_(std::move(inner)) {}

  const Profile& profile() const { return profile_; }
  void reset() { profile_.clear(); }

  std::unique_ptr<Memory> allocate(std::size_t bytes) override { return inner_->allocate(bytes); }
  void copy(const RowCopy& rows) override { inner_->copy(rows); }
  void wait_for(const OtherStream& stream) override { inner_->wait_for(stream); }
  void let_wait(const OtherStream& stream) override { inner_->let_wait(stream); }
  std::size_t operand_bytes() const override { return inner_->operand_bytes(); }
  BackboneCompiler* compiler() override { return inner_->compiler(); }
  int stride(int cols) const override { return inner_->stride(cols); }
  std::size_t qkv_elements(AttentionShape shape) const override { return inner_->qkv_elements(shape); }
  int moment_columns(int cols) const override { return inner_->moment_columns(cols); }
  int images_per_pass() const override { return inner_->images_per_pass(); }
  RealMatrix output(std::span<float> host, int slot, int rows, int cols) override {
    return inner_->output(host, slot, rows, cols);
  }
  ByteMatrix output(std::span<std::uint8_t> host, int slot, int rows, int cols) override {
    return inner_->output(host, slot, rows, cols);
  }
  void read(RealMatrix from, std::span<float> host) override { inner_->read(from, host); }
  void read(OperandMatrix from, std::span<float> host) override { inner_->read(from, host); }
  void write(std::span<const float> host, RealMatrix to) override { inner_->write(host, to); }
  void write(std::span<const float> host, OperandMatrix to) override { inner_->write(host, to); }
  void finish() override { inner_->finish(); }
  void send_apart() override { inner_->send_apart(); }
  bool is_sending() const override { return inner_->is_sending(); }
  void deliver() override { inner_->deliver(); }
  const char* precision() const override { return inner_->precision(); }
  const char* wider_precision() const override { return inner_->wider_precision(); }
  bool in_range() override { return inner_->in_range(); }
  float excess(const Packed& weights, int part) const override { return inner_->excess(weights, part); }
  void scale_out(Packed& weights, int part, int exponent) override { inner_->scale_out(weights, part, exponent); }
  void scale_in(Packed& weights, int exponent) override { inner_->scale_in(weights, exponent); }
  bool norm_apart(Packed& weights) override { return inner_->norm_apart(weights); }
  bool widen() override { return inner_->widen(); }
  void abandon() override { inner_->abandon(); }
  Frame stage(const Frame& frame, int slot, int height, int width) override {
    return inner_->stage(frame, slot, height, width);
  }
  /// Never recorded: a replayed sequence runs as a whole, so its stages cannot be measured.
  void sequence(const SequenceKey* /*key*/, std::span<const Frame> frames,
                const std::function<void()>& calls) override {
    inner_->sequence(nullptr, frames, calls);
  }

  PackedPtr pack_values(std::span<const float> values) override { return inner_->pack_values(values); }
  PackedPtr pack_norm(const NormWeights& weights) override { return inner_->pack_norm(weights); }
  PackedPtr pack_linear(const LinearWeights& weights) override { return inner_->pack_linear(weights); }
  PackedPtr pack_flow(const LinearWeights& weights) override { return inner_->pack_flow(weights); }
  PackedPtr pack_norm_linear(const NormWeights& norm, const LinearWeights& weights) override {
    return inner_->pack_norm_linear(norm, weights);
  }
  PackedPtr pack_qkv(const NormWeights& norm, const LinearWeights& weights, int heads) override {
    return inner_->pack_qkv(norm, weights, heads);
  }
  PackedPtr pack_rope(std::span<const float> cos, std::span<const float> sin, int half_dim) override {
    return inner_->pack_rope(cos, sin, half_dim);
  }
  PackedPtr pack_swiglu(const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up) override {
    return inner_->pack_swiglu(norm, gate, up);
  }
  PackedPtr pack_depthwise(std::span<const float> weight, int channels) override {
    return inner_->pack_depthwise(weight, channels);
  }
  PackedPtr pack_conv3x3(const LinearWeights& weights) override { return inner_->pack_conv3x3(weights); }
  PackedPtr pack_squeeze_excite(const SqueezeExciteWeights& weights) override {
    return inner_->pack_squeeze_excite(weights);
  }
  PackedPtr pack_mask(const LinearWeights& weights, int up) override { return inner_->pack_mask(weights, up); }

  void preprocess_patches(const Frame& frame, Grid grid, int patch, OperandMatrix patches) override;
  void embed(OperandMatrix patches, const Packed& linear, const Packed& prefix_tokens, const Residual& x) override;
  void norm_qkv_rope(const Residual& x, const Packed& qkv_weights, const Packed& rope, AttentionShape shape,
                     OperandMatrix qkv) override;
  void attention(OperandMatrix qkv, AttentionShape shape, OperandMatrix out) override;
  void linear_add(OperandMatrix in, const Packed& linear, const Residual& x) override;
  void norm_swiglu(const Residual& x, const Packed& swiglu, OperandMatrix out) override;
  void norm_gelu(const Residual& x, const Packed& linear, OperandMatrix out) override;
  void layer_norm(RealMatrix x, const Packed& norm, RealMatrix out) override;
  void project_silu(RealMatrix features, const Packed& linear, OperandMatrix out) override;
  void correlation_concat(OperandMatrix a, OperandMatrix b, Grid grid, int radius, OperandMatrix out) override;
  void depthwise(OperandMatrix in, const SqueezeExcite& excite, RealMatrix extra, Grid grid, const Packed& weights,
                 OperandMatrix out) override;
  void pointwise_silu(OperandMatrix in, const Packed& linear, OperandMatrix out, const SqueezeExcite& squeeze) override;
  void predict_flow(OperandMatrix in, const Packed& linear, RealMatrix base, RealMatrix flow) override;
  void conv3x3_relu(OperandMatrix in, Grid grid, const Packed& weights, OperandMatrix out) override;
  void mask_upsample(OperandMatrix in, RealMatrix flow, Grid grid, const Packed& mask, RealMatrix out) override;
  void resize_flow(RealMatrix in, RealMatrix out) override;
  void match_similarity(OperandMatrix fused, Grid grid, int channels, int radius, RealMatrix similarity) override;
  void match_global(OperandMatrix a, OperandMatrix b, Grid grid, const MatchOptions& options, RealMatrix flow) override;
  void round_trip(RealMatrix forward, RealMatrix backward, ByteMatrix occlusion, RealMatrix confidence) override;
  void color_flow(RealMatrix flow, const FlowColors& colors, ByteMatrix picture) override;

  void image_pyramid(const Frame& frame, std::span<const Image> levels) override;
  void patch_templates(const Image& image, PatchGrid grid, RealMatrix templates) override;
  void search_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                      std::span<const RealMatrix> hypotheses, bool zero, const SearchOptions& options,
                      RealMatrix found) override;
  void vote_patches(PatchGrid grid, RealMatrix templates, int count, const SearchOptions& options, RealMatrix found,
                    RealMatrix patches) override;
  void propagate_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates, RealMatrix patches,
                         const SearchOptions& options, RealMatrix out) override;
  void fit_exposure(const Image& to, PatchGrid grid, RealMatrix templates, RealMatrix patches,
                    RealMatrix exposure) override;
  void densify_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates, RealMatrix patches,
                       RealMatrix exposure, RealMatrix flow, RealMatrix sure) override;
  void find_covered(RealMatrix flow, RealMatrix sure, RealMatrix best) override;
  void check_return(RealMatrix flow, RealMatrix back, float scale, RealMatrix sure) override;
  void fill_flow(const Image& image, RealMatrix flow, RealMatrix sure, const FillOptions& options,
                 RealMatrix scratch) override;
  void refine_variational(const Image& from, const Image& to, int plane, RealMatrix flow,
                          const VariationalOptions& options, RealMatrix out) override;
  void measure_flow(const Image& from, const Image& to, RealMatrix exposure, RealMatrix sure, RealMatrix flow,
                    RealMatrix back, RealMatrix measures) override;
  void rate_flow(RealMatrix measures, const ConfidenceWeights& weights, RealMatrix rated, float scale_down,
                 float scale_across, RealMatrix confidence) override;
  void double_flow(RealMatrix flow, RealMatrix out) override;
  void sharpen_edges(const Image& image, const Image& half, RealMatrix flow, RealMatrix sure,
                     const SharpenOptions& options, RealMatrix out) override;

  void clear_first_label(const Labels& labels) override;
  void census_costs(const Image& from, const Image& to, RealMatrix exposure, const Labels& labels, int first, int count,
                    const LabelOptions& options) override;
  void rate_costs(const Labels& labels, const LabelOptions& options) override;
  void fit_motions(const Labels& labels, const LabelOptions& options) override;
  void charge_outside(const Labels& labels, const LabelOptions& options) override;
  void choose_labels(const Image& image, const Labels& labels, const LabelOptions& options, RealMatrix chosen) override;
  void charge_covered(const Labels& labels, const LabelOptions& options, RealMatrix chosen, RealMatrix claims) override;
  void take_labels(const Labels& labels, RealMatrix chosen, RealMatrix flow) override;

 private:
  template <class Stage>
  void time(const char* name, double flop, const Stage& stage);

  std::unique_ptr<Ops> inner_;
  Profile profile_;
};

}  // namespace flow

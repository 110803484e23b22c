#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <vector>

#include "cpu/image_pyramid.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/motion_fit.h"
#include "cpu/preprocess.h"
#include "cpu/thread_pool.h"
#include "ops/ops.h"

namespace flow::cpu {

/// `Ops` on the CPU. It cuts each stage into items. The threads compute them with the kernels of one instruction set.
/// Every item adds its sums in a fixed order, so results do not depend on the number of threads.
class CpuOps : public Ops {
 public:
  explicit CpuOps(int threads, const Kernels& kernels = *runnable_kernels().front());

  int threads() const { return pool_.size(); }
  const char* instruction_set() const { return kernels_.name; }
  /// Operations per second of multiply-adds in registers, on all threads: an upper bound for every kernel.
  double measure_peak();

  std::unique_ptr<Memory> allocate(std::size_t bytes) override;
  std::size_t operand_bytes() const override { return sizeof(float); }
  int stride(int cols) const override;
  std::size_t qkv_elements(AttentionShape shape) const override;
  /// A pass over two images takes as long as two passes: 0.95 to 1.08 times, measured from 64 to 1600 patches.
  int images_per_pass() const override { return 1; }
  RealMatrix output(std::span<float> host, int slot, int rows, int cols) override;
  ByteMatrix output(std::span<std::uint8_t> host, int slot, int rows, int cols) override;
  void read(RealMatrix from, std::span<float> host) override;
  void read(OperandMatrix from, std::span<float> host) override;
  void write(std::span<const float> host, RealMatrix to) override;
  void write(std::span<const float> host, OperandMatrix to) override;
  void copy(const RowCopy& rows) override;
  void finish() override {}
  bool in_range() override { return in_range_; }
  void sequence(const SequenceKey* key, std::span<const Frame> frames, const std::function<void()>& calls) override {
    in_range_ = true;
    Ops::sequence(key, frames, calls);
  }

  PackedPtr pack_values(std::span<const float> values) override;
  PackedPtr pack_norm(const NormWeights& weights) override;
  PackedPtr pack_linear(const LinearWeights& weights) override;
  PackedPtr pack_flow(const LinearWeights& weights) override { return pack_linear(weights); }
  PackedPtr pack_norm_linear(const NormWeights& norm, const LinearWeights& weights) override;
  PackedPtr pack_qkv(const NormWeights& norm, const LinearWeights& weights, int heads) override;
  PackedPtr pack_rope(std::span<const float> cos, std::span<const float> sin, int half_dim) override;
  PackedPtr pack_swiglu(const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up) override;
  PackedPtr pack_depthwise(std::span<const float> weight, int channels) override;
  PackedPtr pack_conv3x3(const LinearWeights& weights) override;
  PackedPtr pack_squeeze_excite(const SqueezeExciteWeights& weights) override;
  PackedPtr pack_mask(const LinearWeights& weights, int up) override;

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
  std::size_t qkv_elements_of_image(AttentionShape shape) const;
  QkvLayout layout(OperandMatrix qkv, AttentionShape shape, int image) const;
  void run_gemm(GemmJob job);
  /// LayerNorm into a buffer of the engine. This pass over memory costs 1 % of the GEMM that follows. Without it, the
  /// GEMM's items would normalise the same rows again for every slice of columns.
  RealMatrix normalised(RealMatrix x, const Packed& weights);
  static const float* scale_of(const SqueezeExcite& excite);
  float* scratch(int thread) const { return scratch_[static_cast<std::size_t>(thread)].data(); }
  void reserve_scratch(std::size_t floats);
  /// Notes if a value of rows [first, first + count) is infinite, NaN, or of a magnitude above `limit`. Any thread.
  void check_range(RealMatrix m, int first, int count, float limit = std::numeric_limits<float>::max());

  const Kernels& kernels_;
  ThreadPool pool_;
  std::vector<AlignedFloats> scratch_;  // one per thread; the first call of a size grows it
  AlignedFloats zeros_;
  AlignedFloats normalised_;
  std::atomic<bool> in_range_ = true;  // the norms and flows of the sequence
  std::vector<double> longest_;        // one per thread
  AlignedFloats match_norms_, match_global_;
  std::vector<double> row_sums_;
  Preprocess preprocess_;
  ImagePyramid image_pyramid_;
  MotionFit motion_fit_;
};

}  // namespace flow::cpu

#pragma once

#include <array>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "cuda/excess.h"
#include "cuda/launch.h"
#include "cuda/memory.h"
#include "cuda/module.h"
#include "cuda/pack.h"
#include "cuda/precision.h"
#include "cuda/staging.h"
#include "cuda/stream.h"
#include "cuda/tiles.h"
#include "kernels/gemm.h"
#include "ops/error.h"
#include "ops/ops.h"

namespace flow::cuda {

/// `Ops` on one GPU: every stage is one kernel, or two. The first run of a sequence of stages launches its kernels one
/// by one. The second run captures them into a graph. From then on the sequence is one graph launch.
///
/// Any error of the driver except out of memory leaves the device in an unknown state. Every later call throws it
/// again.
class CudaOps : public Ops {
 public:
  /// `precision` is one that the device's kernels have. `may_widen`: whether float16 may become bfloat16 where it is
  /// too narrow. `wait`: how the caller's thread waits for the device. Throws Error(device) in a build without kernels
  /// for the device.
  CudaOps(ContextPtr context, Precision precision, bool may_widen = false, Wait wait = Wait::spin);
  ~CudaOps() override;

  const DeviceInfo& device() const { return context_->device(); }

  /// From now on, reads the device's clock before and after every sequence: for benchmarks.
  void time_sequences();
  /// Device time from the beginning to the end of the last sequence, which must be finished. Needs `time_sequences`.
  float sequence_milliseconds();
  /// From now on, every product uses this one of kernels::gemm_tiles, or the next smaller one that it has, and panels
  /// of some columns of blocks: for tests, whose matrices are small.
  void use_gemm_tile(const kernels::GemmTile& tile);
  /// From now on, attention uses blocks of so many queries where there is such a kernel: for tests, as above.
  void use_attention_queries(int queries);

  std::unique_ptr<Memory> allocate(std::size_t bytes) override;
  std::size_t operand_bytes() const override { return bytes_of(precision_); }
  int stride(int cols) const override;
  std::size_t qkv_elements(AttentionShape shape) const override;
  int moment_columns(int cols) const override;
  /// One image leaves multiprocessors idle: a product with 384 columns and 1605 rows has 39 tiles of 128 x 128.
  int images_per_pass() const override { return most_images; }
  RealMatrix output(std::span<float> host, int slot, int rows, int cols) override;
  ByteMatrix output(std::span<std::uint8_t> host, int slot, int rows, int cols) override;
  void read(RealMatrix from, std::span<float> host) override;
  void read(OperandMatrix from, std::span<float> host) override;
  void write(std::span<const float> host, RealMatrix to) override;
  void write(std::span<const float> host, OperandMatrix to) override;
  void copy(const RowCopy& rows) override;
  void finish() override;
  void send_apart() override;
  bool is_sending() const override { return sending_; }
  void deliver() override;
  void wait_for(const OtherStream& stream) override;
  void let_wait(const OtherStream& stream) override;
  BackboneCompiler* compiler() override;

  const char* precision() const override { return name_of(precision_); }
  const char* wider_precision() const override;
  bool in_range() override;
  float excess(const Packed& weights, int part) const override;
  void scale_out(Packed& weights, int part, int exponent) override;
  void scale_in(Packed& weights, int exponent) override;
  bool norm_apart(Packed& weights) override;
  bool widen() override;
  void abandon() override;

  Frame stage(const Frame& frame, int slot, int height, int width) override;
  bool stages_ahead() const override { return true; }
  void sequence(const SequenceKey* key, std::span<const Frame> frames, const std::function<void()>& calls) override;
  void fork(const std::function<void()>& branch) override;
  void join() override;

  PackedPtr pack_values(std::span<const float> values) override;
  PackedPtr pack_norm(const NormWeights& weights) override;
  PackedPtr pack_linear(const LinearWeights& weights) override;
  PackedPtr pack_flow(const LinearWeights& weights) override;
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
  /// Memory for use within a stage. It grows to the largest shape seen, and is zeroed when it grows.
  struct Scratch {
    std::unique_ptr<DeviceMemory> memory;
    std::size_t bytes = 0;
  };
  /// Where the frames and outputs of a sequence are. A buffer of this engine may have grown since a recording, and
  /// where the GPU shares the host's memory the caller's is used as it is.
  using Places = std::array<const void*, 2 * staging_slots + output_slots>;
  /// A sequence seen before: its graph, once it was captured.
  struct Recording {
    SequenceKey key;
    std::vector<Frame> frames;  // their layouts are parameters of kernels
    Places places;
    GraphExec graph;
  };

  struct Clock {
    Event begin, end;
  };

  template <class Work>
  auto with_context(const Work& work);
  template <class Work>
  auto guarded(const Work& work);
  template <class Calls>
  void timed(const Calls& calls);
  template <class Params>
  void launch(const std::string& kernel, Dim3 grid, Dim3 block, int shared_bytes, const Params& params);
  void* scratch(Scratch& scratch, std::size_t bytes);
  void* prepare_output(std::span<std::byte> host, int slot);
  StagedFrame& staged(const Frame& frame);
  kernels::GemmParams gemm_params(const void* a, int lda, int rows, const Packed& weights, void* out, int ldo) const;
  kernels::GemmTile gemm_tile(const char* op, const kernels::GemmParams& params) const;
  void run_gemm(const char* op, const kernels::GemmParams& params);
  kernels::AttentionBlock attention_block(AttentionWork work) const;
  void run_layer_norm(RealMatrix x, const Packed& norm, void* out, int ldo, Precision precision);
  /// The parameters of the product `weights` of norm(x).
  kernels::GemmParams norm_gemm_params(const Residual& x, const Packed& weights, void* out, int ldo);
  template <class Pack>
  PackedPtr packed(const Pack& pack);
  void complete_outputs();
  void forget_outputs();
  float largest_operand() const;
  void rescaled(float& scale, int exponent);
  template <class Kind>
  void read_rows(Matrix<Kind> from, Precision precision, std::span<float> host);
  template <class Kind>
  void write_rows(std::span<const float> host, Precision precision, Matrix<Kind> to);

  ContextPtr context_;
  Precision precision_;
  bool may_widen_;
  Excess excess_;
  ExcessWords other_excess_;  // of stages whose weights have no words, or that have no weights
  Stream stream_;
  Event reached_;       // a point of `stream_` that streams of others wait for
  Stream copy_stream_;  // brings frames to the device while `stream_` computes
  Stream send_stream_;  // brings results to the host while `stream_` computes
  Event computed_;      // a point of `stream_`: the results that go out are set aside
  Stream branch_stream_;
  Event forked_, branched_;            // points of `stream_` and `branch_stream_`: the begin and the end of a branch
  const Stream* launches_ = &stream_;  // the stream of launches: `branch_stream_` within a branch
  After launch_after_ = After::kernel;
  Modules modules_;
  Packer packer_;
  std::string poison_;                            // the error that ended this engine
  const kernels::GemmTile* gemm_tile_ = nullptr;  // null: choose the fastest
  int attention_queries_ = 0;                     // 0: choose the fastest

  Scratch normalised_, partial_outputs_, attention_arrived_, partial_sums_, sums_arrived_, longest_, match_norms_,
      match_global_, refinement_;
  std::vector<StagedFrame> frames_;
  std::vector<HostOutput> outputs_;
  Places places_{};                  // of outputs, since `finish`
  bool completed_ = false;           // the last sequence, and its outputs unless they are sent apart
  bool sent_apart_ = false;          // the outputs of the last sequence
  bool sending_ = false;             // outputs of a sequence before the last `finish`
  std::list<Recording> recordings_;  // most recent first
  std::optional<Clock> clock_;
  std::unique_ptr<BackboneCompiler> compiler_;  // once it was asked for
};

/// Runs `work` with the context current. An error of the driver ends this engine. Out of memory does not.
template <class Work>
auto CudaOps::with_context(const Work& work) {
  if (!poison_.empty()) throw Error(ErrorCode::device, poison_);
  const Context::Scope scope(*context_);
  try {
    return work();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::device || !poison_.empty()) throw;
    poison_ = std::string(error.what()) + "; this model cannot be used any more: dispose of it and load a new one";
    throw Error(ErrorCode::device, poison_);
  }
}

/// As with_context, for the request that runs. Any error ends it, so its results are not delivered, and after the error
/// the caller may give the memory of its frames and results away.
template <class Work>
auto CudaOps::guarded(const Work& work) {
  try {
    return with_context(work);
  } catch (const Error&) {
    abandon();
    throw;
  }
}

template <class Params>
void CudaOps::launch(const std::string& kernel, Dim3 grid, Dim3 block, int shared_bytes, const Params& params) {
  guarded([&] {
    cuda::launch(*launches_, modules_.kernel(kernel, shared_bytes), grid, block, shared_bytes, params,
                 std::exchange(launch_after_, After::kernel));
  });
}

}  // namespace flow::cuda

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>

#include "ops/compiled_backbone.h"
#include "ops/frame.h"
#include "ops/label_stages.h"
#include "ops/matrix.h"
#include "ops/memory.h"
#include "ops/other_stream.h"
#include "ops/refine_stages.h"

namespace flow {

/// Rows to copy, `bytes` each. The steps from row to row are in bytes.
struct RowCopy {
  const std::byte* from;
  std::byte* to;
  std::size_t rows, bytes;
  std::size_t from_step, to_step;
};

/// Weights in the layout that the engine wants, made once at load by `Ops::pack_*`.
class Packed {
 public:
  virtual ~Packed() = default;
};
using PackedPtr = std::unique_ptr<Packed>;

/// y = gain * (W x + b). `weight` is out x in, row by row; an empty `bias` is 0, an empty `gain` (LayerScale) is 1.
struct LinearWeights {
  int in;
  int out;
  std::span<const float> weight;
  std::span<const float> bias = {};
  std::span<const float> gain = {};
};

struct NormWeights {
  std::span<const float> gamma;
  std::span<const float> beta;
  float epsilon;
};

/// The residual stream, N x C. Stages that write it also write what the next norm needs, so no stage has to read whole
/// rows only to normalise them. `operands` and `moments` are empty if the engine needs neither (moment_columns).
struct Residual {
  RealMatrix x;
  OperandMatrix operands;  // x, rounded, N x C; the memory of `x` itself if operands are float32
  RealMatrix moments;      // N x moment_columns, in a layout of the engine's own
};

/// Rows [first, first + count).
inline Residual rows_of(const Residual& r, int first, int count, std::size_t operand_bytes) {
  if (!r.moments) return {rows_of(r.x, first, count), {}, {}};
  return {rows_of(r.x, first, count), rows_of(r.operands, first, count, operand_bytes),
          rows_of(r.moments, first, count)};
}

/// s = sigmoid(fc2 silu(fc1 mean + b1) + b2)
struct SqueezeExciteWeights {
  LinearWeights fc1;
  LinearWeights fc2;
};

/// Channels of a row of SqueezeExcite::squeezed.
constexpr int squeeze_channels = 64;

/// A squeeze-and-excitation (Hu et al., 2018) between two convolutions: factors s of the C channels between them, which
/// depend on the channels' means. The convolution before it stores `squeezed` (ceil(C / squeeze_channels) x R), whose
/// rows add up to fc1 mean: a row is fc1 mean over squeeze_channels channels. The convolution after it computes s from
/// that.
struct SqueezeExcite {
  const Packed* weights = nullptr;  // of pack_squeeze_excite; null for factors of 1
  RealMatrix squeezed = {};
};

/// A map of tokens, row by row.
struct Grid {
  int height;
  int width;
  int size() const { return height * width; }
  bool operator==(const Grid&) const = default;
};

/// Maximum number of images in one pass of the backbone.
constexpr int most_images = 2;

/// The tokens of one image are `prefix` tokens (cls, storage) without a position, then the patches of the grid. The
/// rows of one image follow those of the image before. Images do not attend to each other.
struct AttentionShape {
  int tokens;
  int prefix;
  int heads;
  int head_dim;
  int images = 1;

  int rows() const { return images * tokens; }
};

/// Which matches of cells count.
struct MatchOptions {
  float lead = 0.03F;  // of the best cosine over 0, and over all that are not near it; there must be some
  int agree = 3;       // neighbours, of 8, with the same motion to one cell
};
/// Cells around a match, down and across, that are near it.
constexpr int match_near = 2;

/// How lengths of motion, in pixels, become colours. Mirrors FlowColorOptions of lib/viz/flow-to-color.ts.
struct FlowColors {
  double scale = 0;  // length with the full colour; longer motion is darker; 0: the longest motion of the picture
  double clip_max = std::numeric_limits<double>::max();  // each component is clamped to [-clip_max, clip_max]
  double clip_min = 0;                                   // shorter motion is white
};

/// Identifies a sequence of stages: the plans, the slots of features, the sizes, the colours. An engine that uses the
/// caller's memory adds the addresses of frames and outputs.
using SequenceKey = std::array<std::uint64_t, 20>;

/// Maximum number of outputs of one sequence.
constexpr int output_slots = 8;
/// Maximum number of staged frames: two of the running sequence, two of the next.
constexpr int staging_slots = 4;

/// The stages of the network, fused as far as the most demanding engine needs, and those of the refinement. Every
/// engine implements all of them. The model only calls them, and never touches an element. Calls run in order; results
/// are complete after `finish`. N is the number of tokens or pixels, C the number of channels. An optional matrix may
/// be empty.
class Ops : public RefineStages, public LabelStages {
 public:
  // ---- memory -----------------------------------------------------------------------------------------------------
  virtual std::unique_ptr<Memory> allocate(std::size_t bytes) = 0;
  /// Bytes of an `Operand`.
  virtual std::size_t operand_bytes() const = 0;
  /// The stride that a matrix of `cols` columns should have.
  virtual int stride(int cols) const = 0;
  /// Elements of the `qkv` matrix that norm_qkv_rope hands to attention.
  virtual std::size_t qkv_elements(AttentionShape shape) const = 0;
  /// Columns of `Residual::moments` if x has `cols` columns; 0 if the norms of this engine read x alone.
  virtual int moment_columns(int /*cols*/) const { return 0; }
  /// Best number of images in one pass of the backbone, at most most_images. It is 2 if one pass over both frames of a
  /// pair is faster than two passes.
  virtual int images_per_pass() const = 0;
  /// A matrix whose content is in `host` after `finish`. It is `host` itself if the engine can write there. Each output
  /// of a sequence has its own `slot`, below output_slots.
  virtual RealMatrix output(std::span<float> host, int slot, int rows, int cols) = 0;
  virtual ByteMatrix output(std::span<std::uint8_t> host, int slot, int rows, int cols) = 0;
  /// Copies a matrix to `host`, row by row without padding, and waits for the copy.
  virtual void read(RealMatrix from, std::span<float> host) = 0;
  virtual void read(OperandMatrix from, std::span<float> host) = 0;
  /// Copies rows without padding to a matrix, and waits for the copy.
  virtual void write(std::span<const float> host, RealMatrix to) = 0;
  virtual void write(std::span<const float> host, OperandMatrix to) = 0;
  /// Copies rows between memory of the host and known memory (engine/known_memory.h), in any direction, and waits for
  /// the copy.
  virtual void copy(const RowCopy& rows) = 0;
  /// Waits until all calls are done.
  virtual void finish() = 0;
  /// Lets the outputs of the last sequence go to the host while later sequences run, if the engine gains by it. Call it
  /// after the sequence, before `in_range`. Then `finish` does not wait for these outputs: `deliver` does. If the
  /// sequence runs again, call it again, or `finish` waits.
  virtual void send_apart() {}
  /// Whether outputs are on their way to the host since the last `finish`.
  virtual bool is_sending() const { return false; }
  /// Waits for the outputs that are on their way. Does nothing if none are.
  virtual void deliver() {}
  /// Lets the device begin all later calls, except `stage`, when it has reached the point in that stream. Does not
  /// wait.
  virtual void wait_for(const OtherStream& /*stream*/) {}
  /// Lets the device begin what that stream gets from now on when the calls until now are done. Does not wait.
  virtual void let_wait(const OtherStream& /*stream*/) {}
  /// A library that compiles the backbone for this device; null if no engine of this kind uses one.
  virtual BackboneCompiler* compiler() { return nullptr; }

  // ---- range of numbers -------------------------------------------------------------------------------------------
  // Operands of some engines end at 65504 (float16), and values of real weights do not. Such an engine saturates them,
  // and tells. A power of two that one stage takes out of its operands and the next puts back is exact, and brings them
  // into range.

  /// The name of the operands' precision: "fp32", "fp16", "bf16".
  virtual const char* precision() const { return "fp32"; }
  /// The name of the next precision with a wider range or more digits that the device has; empty if there is none.
  virtual const char* wider_precision() const { return ""; }
  /// Waits until the last sequence is done. Returns whether every value was in range: of operands, and of float32 in
  /// features and flow. If not, the sequence may run again before `finish`.
  virtual bool in_range() = 0;
  /// The largest magnitude of the operands that the stage with these weights handed on in the last sequence, in
  /// multiples of the largest number there is, if it was more; else 0. `part` of pack_qkv: 0 for q, 1 for k, 2 for v.
  virtual float excess(const Packed& /*weights*/, int /*part*/ = 0) const { return 0; }
  /// From now on, the stage with these weights multiplies the operands that it hands on by 2^exponent.
  virtual void scale_out(Packed& /*weights*/, int /*part*/, int /*exponent*/) {}
  /// From now on, the stage with these weights gets operands that are multiplied by 2^exponent, and undoes it.
  virtual void scale_in(Packed& /*weights*/, int /*exponent*/) {}
  /// Norms are part of the product that follows, and rounding comes before the mean is taken off. That costs digits if
  /// the mean of a row is large beside its deviation, and fails if x is beyond the range of operands. If a row of the
  /// last sequence was so, the norm before the product with these weights is a stage of its own from now on. Returns
  /// whether this call has changed that.
  virtual bool norm_apart(Packed& /*weights*/) { return false; }
  /// Goes on in `wider_precision`, if the engine may choose. Returns whether it does. The weights are converted from
  /// what they were packed as, so they do not regain digits.
  virtual bool widen() { return false; }
  /// Gives up the outputs since the last `finish`, but not those on their way since then. Once this returns, no work
  /// that was queued before reads or writes the caller's memory. Copies of frames that were staged are done.
  virtual void abandon() {}

  // ---- sequences --------------------------------------------------------------------------------------------------
  /// Prepares a frame for `preprocess_patches`, which resizes it to height x width. Returns the staged frame: `frame`
  /// itself if the engine reads the caller's memory. Each staged frame has its own `slot`, below staging_slots, and
  /// replaces the frame that was staged there before. The caller's memory must not change until the `finish` of the
  /// sequence that reads the frame.
  virtual Frame stage(const Frame& frame, int /*slot*/, int /*height*/, int /*width*/) { return frame; }
  /// Whether `stage` copies. If so, it pays to stage the frames of the next sequence while one runs.
  virtual bool stages_ahead() const { return false; }
  /// Runs `calls`, which are stages only, on the staged `frames` and on the outputs made since the last `finish`. Equal
  /// keys mean equal calls, so an engine may record the launches and replay them. A null `key` is never recorded.
  virtual void sequence(const SequenceKey* /*key*/, std::span<const Frame> /*frames*/,
                        const std::function<void()>& calls) {
    calls();
  }

  /// Runs `branch`, which is stages only, beside the stages after it, until `join`. Neither writes what the other reads
  /// or writes. An engine may run them in order. There is one branch at a time. A stage that needs memory of the engine
  /// beside its operands, such as attention or a squeeze, is an error in a branch.
  virtual void fork(const std::function<void()>& branch) { branch(); }
  /// Lets all later stages begin after those of the branch.
  virtual void join() {}

  // ---- weights ----------------------------------------------------------------------------------------------------
  virtual PackedPtr pack_values(std::span<const float> values) = 0;
  virtual PackedPtr pack_norm(const NormWeights& weights) = 0;
  virtual PackedPtr pack_linear(const LinearWeights& weights) = 0;
  /// `weights` maps C to the 2 components of a flow; for `predict_flow`.
  virtual PackedPtr pack_flow(const LinearWeights& weights) = 0;
  /// As pack_linear, of the norm of x; for `norm_gelu`.
  virtual PackedPtr pack_norm_linear(const NormWeights& norm, const LinearWeights& weights) = 0;
  /// `weights` maps C, after the norm, to 3C: all q, all k, all v, each heads x head_dim.
  virtual PackedPtr pack_qkv(const NormWeights& norm, const LinearWeights& weights, int heads) = 0;
  /// cos and sin of every patch's angles, each N x head_dim/2.
  virtual PackedPtr pack_rope(std::span<const float> cos, std::span<const float> sin, int half_dim) = 0;
  virtual PackedPtr pack_swiglu(const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up) = 0;
  /// `weight` is C x 3 x 3; no bias.
  virtual PackedPtr pack_depthwise(std::span<const float> weight, int channels) = 0;
  /// `weight` is out x in x 3 x 3.
  virtual PackedPtr pack_conv3x3(const LinearWeights& weights) = 0;
  virtual PackedPtr pack_squeeze_excite(const SqueezeExciteWeights& weights) = 0;
  /// `weights` maps C to 9 * up * up, tap-major.
  virtual PackedPtr pack_mask(const LinearWeights& weights, int up) = 0;

  // ---- backbone ---------------------------------------------------------------------------------------------------
  /// patches (N x 3*patch*patch, channel-major, one row per patch) = a staged frame, resized to grid * patch, divided
  /// by 255, with ImageNet normalisation.
  virtual void preprocess_patches(const Frame& frame, Grid grid, int patch, OperandMatrix patches) = 0;
  /// x (prefix + N x C) = [prefix tokens; W patches + b].
  virtual void embed(OperandMatrix patches, const Packed& linear, const Packed& prefix_tokens, const Residual& x) = 0;
  /// q, k, v of every head = W norm(x) + b; the patches of q and k are rotated by RoPE. `qkv` (qkv_elements, without
  /// rows or columns) has a layout of the engine's own, which only `attention` reads.
  virtual void norm_qkv_rope(const Residual& x, const Packed& qkv_weights, const Packed& rope, AttentionShape shape,
                             OperandMatrix qkv) = 0;
  /// out (rows x C) = softmax(q k^T / sqrt(head_dim)) v for every image, heads side by side.
  virtual void attention(OperandMatrix qkv, AttentionShape shape, OperandMatrix out) = 0;
  /// x += gain * (W in + b).
  virtual void linear_add(OperandMatrix in, const Packed& linear, const Residual& x) = 0;
  /// out (N x hidden) = silu(gate norm(x)) * (up norm(x)).
  virtual void norm_swiglu(const Residual& x, const Packed& swiglu, OperandMatrix out) = 0;
  /// out (N x hidden) = gelu(W norm(x) + b), the exact GELU.
  virtual void norm_gelu(const Residual& x, const Packed& linear, OperandMatrix out) = 0;
  /// out = norm(x).
  virtual void layer_norm(RealMatrix x, const Packed& norm, RealMatrix out) = 0;

  // ---- head -------------------------------------------------------------------------------------------------------
  /// out (N x proj) = silu(W features + b).
  virtual void project_silu(RealMatrix features, const Packed& linear, OperandMatrix out) = 0;
  /// out (N x 3C + (2r+1)^2) = [a, b, |a - b|, a . b(y+dy, x+dx) / sqrt(C)], dy before dx, zero outside the map.
  virtual void correlation_concat(OperandMatrix a, OperandMatrix b, Grid grid, int radius, OperandMatrix out) = 0;
  /// out (N x C) = 3x3 depthwise convolution, zero padding, of [in * s, extra]; s is that of `excite`. `extra` (N x
  /// few) is optional.
  virtual void depthwise(OperandMatrix in, const SqueezeExcite& excite, RealMatrix extra, Grid grid,
                         const Packed& weights, OperandMatrix out) = 0;
  /// out (N x out) = silu(W in + b), and the squeezed means of its columns.
  virtual void pointwise_silu(OperandMatrix in, const Packed& linear, OperandMatrix out,
                              const SqueezeExcite& squeeze) = 0;
  /// flow (N x 2) = W in + b + base, W packed by pack_flow. `base` (N x 2) is optional and may be `flow`.
  virtual void predict_flow(OperandMatrix in, const Packed& linear, RealMatrix base, RealMatrix flow) = 0;
  /// out (N x out) = relu(3x3 convolution of in, zero padding).
  virtual void conv3x3_relu(OperandMatrix in, Grid grid, const Packed& weights, OperandMatrix out) = 0;
  /// Convex upsampling (Teed & Deng, RAFT, 2020): mask = W in + b, softmax over the 9 taps, weighted mean of the 3x3
  /// neighbours of `flow` (zero outside), times up. out (2 * H*up x W*up) is planar, x then y. The mask of the whole
  /// map is never in memory.
  virtual void mask_upsample(OperandMatrix in, RealMatrix flow, Grid grid, const Packed& mask, RealMatrix out) = 0;
  /// Bilinear (half-pixel centres, edges held) from planar (2*h x w) to planar (2*H x W), x times W/w and y times H/h.
  virtual void resize_flow(RealMatrix in, RealMatrix out) = 0;

  /// similarity (1 x 1) = how well `a` is found in `b`: the mean over all patches of `a` of the best cosine with the
  /// patches of `b` in the window. `fused` is the output of correlation_concat for C = `channels`.
  virtual void match_similarity(OperandMatrix fused, Grid grid, int channels, int radius, RealMatrix similarity) = 0;

  /// flow (2*h x w, planar, in cells) = for each cell of `a` the motion to the cell of `b` (N x C each) that is most
  /// like it, wherever that is; NaN where that is not certain. Two cells are alike by the cosine of their features,
  /// less the mean of each channel, summed over 3 x 3 cells. A match counts if its cell in `b` matches the cell in `a`,
  /// or one beside it, if it leads (see MatchOptions), and if its neighbours agree. The first of equal cells is the
  /// best. No match counts where features are not finite. The N x N cosines are never in memory all at once.
  virtual void match_global(OperandMatrix a, OperandMatrix b, Grid grid, const MatchOptions& options,
                            RealMatrix flow) = 0;

  // ---- two directions ---------------------------------------------------------------------------------------------
  /// Forward-backward check of two planar flows (2*H x W each), from a frame to the next and back. Pixel p goes to
  /// q = p + forward(p) and comes back to p + d, where d = forward(p) + backward(q); backward is sampled bilinearly.
  /// limit = 0.01 (|forward(p)|^2 + |backward(q)|^2) + 0.5 (Sundaram, Brox & Keutzer, Dense point trajectories by
  /// GPU-accelerated large displacement optical flow, ECCV 2010, eq. 5). occlusion (H x W, an `output`: rows without
  /// padding) = 1 if |d|^2 > limit, else 0. confidence (H x W) = limit / (limit + |d|^2). If q is outside the map or a
  /// value is not finite, occlusion is 1 and confidence is 0. Both results are optional.
  virtual void round_trip(RealMatrix forward, RealMatrix backward, ByteMatrix occlusion, RealMatrix confidence) = 0;

  // ---- pictures ---------------------------------------------------------------------------------------------------
  /// picture (H x 3W, red, green, blue, an `output`: rows without padding) = planar `flow` (2*H x W) in the colour code
  /// of Baker et al. (A Database and Evaluation Methodology for Optical Flow, IJCV 2011): hue, from `color_wheel`, is
  /// the direction, and saturation is the length. Motion that is not finite is white. Values differ from flowToColor of
  /// lib/viz by at most 1 of 255.
  virtual void color_flow(RealMatrix flow, const FlowColors& colors, ByteMatrix picture) = 0;
};

}  // namespace flow

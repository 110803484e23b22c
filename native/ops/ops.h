#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>

#include "ops/frame.h"

namespace flow {

/// Kinds of element. `Real` is float32 on every engine. `Operand` is what the engine feeds its matrix units: float32 on
/// the CPU, float16 or bfloat16 where a GPU has them. An `Operand` matrix is read and written by `Ops` alone.
/// `Byte` is one of 8 bits, of a picture.
struct Real {};
struct Operand {};
struct Byte {};

/// A row-major matrix in the engine's memory. Tokens and pixels are rows, channels are columns: (y, x) of a map of
/// width w is row y * w + x. `stride` counts elements from row to row.
template <class Kind>
struct Matrix {
  void* data = nullptr;
  int rows = 0;
  int cols = 0;
  int stride = 0;

  explicit operator bool() const { return data != nullptr; }
};

using RealMatrix = Matrix<Real>;
using OperandMatrix = Matrix<Operand>;
using ByteMatrix = Matrix<Byte>;

/// Rows [first, first + count) of a matrix whose elements have `element_bytes` bytes.
template <class Kind>
Matrix<Kind> rows_of(Matrix<Kind> m, int first, int count, std::size_t element_bytes) {
  const std::size_t offset = static_cast<std::size_t>(first) * static_cast<std::size_t>(m.stride) * element_bytes;
  return {static_cast<std::byte*>(m.data) + offset, count, m.cols, m.stride};
}
inline RealMatrix rows_of(RealMatrix m, int first, int count) { return rows_of(m, first, count, sizeof(float)); }

/// A block of the engine's memory; freed with the object. Zeroed when allocated.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* data() const = 0;
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

/// scale = sigmoid(fc2 silu(fc1 mean + b1) + b2)
struct SqueezeExciteWeights {
  LinearWeights fc1;
  LinearWeights fc2;
};

/// A map of tokens, row by row.
struct Grid {
  int height;
  int width;
  int size() const { return height * width; }
  bool operator==(const Grid&) const = default;
};

/// Images that one pass of the backbone may take.
constexpr int most_images = 2;

/// The tokens of one image = `prefix` tokens (cls, storage) without a position, then the patches of the grid. Images
/// follow each other in rows, and do not attend to each other.
struct AttentionShape {
  int tokens;
  int prefix;
  int heads;
  int head_dim;
  int images = 1;

  int rows() const { return images * tokens; }
};

/// How lengths of motion become colours, in pixels. Mirrors FlowColorOptions of lib/viz/flow-to-color.ts.
struct FlowColors {
  double scale = 0;  // gets the full colour, and what is longer is darkened; 0: the longest motion of the picture
  double clip_max = std::numeric_limits<double>::infinity();  // each component is clamped to +- it
  double clip_min = 0;                                        // what is shorter is white
};

/// Everything that tells two sequences of stages apart: the plan, the slots of features, the sizes, the colours. An
/// engine adds the addresses of frames and outputs, if it uses the caller's memory.
using SequenceKey = std::array<std::uint64_t, 16>;

/// Outputs that one sequence may have.
constexpr int output_slots = 8;
/// Frames that may be staged at once: two of a sequence that runs, two of the next.
constexpr int staging_slots = 4;

/// The stages of the network, each fused as far as the most demanding engine needs. One engine implements all of them;
/// the model is a sequence of calls and never touches an element. Calls of one engine run in order; results are there
/// after `finish`. N is the number of tokens or pixels, C of channels. Where a matrix is optional, an empty one is
/// none.
class Ops {
 public:
  virtual ~Ops() = default;

  // ---- memory -----------------------------------------------------------------------------------------------------
  virtual std::unique_ptr<Memory> allocate(std::size_t bytes) = 0;
  /// Bytes of an `Operand`.
  virtual std::size_t operand_bytes() const = 0;
  /// The stride that a matrix of `cols` columns should have.
  virtual int stride(int cols) const = 0;
  /// Elements of the `qkv` matrix that norm_qkv_rope hands to attention.
  virtual std::size_t qkv_elements(AttentionShape shape) const = 0;
  /// Images that one pass of the backbone should take, at most most_images: the frames of a pair share a pass if that
  /// is faster than a pass each.
  virtual int images_per_pass() const = 0;
  /// A matrix whose content is in `host` after `finish`: `host` itself where the engine can write there. `slot` (below
  /// output_slots) tells the outputs of one sequence apart.
  virtual RealMatrix output(std::span<float> host, int slot, int rows, int cols) = 0;
  virtual ByteMatrix output(std::span<std::uint8_t> host, int slot, int rows, int cols) = 0;
  /// Copies a matrix to `host`, row by row without padding. Waits for it.
  virtual void read(RealMatrix from, std::span<float> host) = 0;
  virtual void read(OperandMatrix from, std::span<float> host) = 0;
  /// Copies rows without padding to a matrix. Waits for it.
  virtual void write(std::span<const float> host, RealMatrix to) = 0;
  virtual void write(std::span<const float> host, OperandMatrix to) = 0;
  /// Waits until all that was called is done.
  virtual void finish() = 0;

  // ---- sequences --------------------------------------------------------------------------------------------------
  /// Makes a frame ready for `preprocess_patches` into height x width, and says where it is now: where it was, if the
  /// engine reads the caller's memory. `slot` (below staging_slots) tells the staged frames apart; the frame that was
  /// staged there before is gone. The caller's memory must stay as it is until the `finish` of the sequence that reads
  /// the frame.
  virtual Frame stage(const Frame& frame, int /*slot*/, int /*height*/, int /*width*/) { return frame; }
  /// Whether `stage` copies, so that the frames of the next sequence are worth staging while one runs.
  virtual bool stages_ahead() const { return false; }
  /// Runs `calls`: stages only, on the staged `frames` and on the outputs given out since `finish`. They are the same
  /// whenever `key` is the same, so an engine may record their launches and replay them. A null `key` is never
  /// recorded.
  virtual void sequence(const SequenceKey* /*key*/, std::span<const Frame> /*frames*/,
                        const std::function<void()>& calls) {
    calls();
  }

  // ---- weights ----------------------------------------------------------------------------------------------------
  virtual PackedPtr pack_values(std::span<const float> values) = 0;
  virtual PackedPtr pack_norm(const NormWeights& weights) = 0;
  virtual PackedPtr pack_linear(const LinearWeights& weights) = 0;
  /// `weights` maps C to the 2 components of a flow; for `predict_flow`.
  virtual PackedPtr pack_flow(const LinearWeights& weights) = 0;
  /// `weights` maps C to 3C: all q, all k, all v, each heads x head_dim.
  virtual PackedPtr pack_qkv(const LinearWeights& weights, int heads) = 0;
  /// cos and sin of every patch's angles, each N x head_dim/2.
  virtual PackedPtr pack_rope(std::span<const float> cos, std::span<const float> sin, int half_dim) = 0;
  virtual PackedPtr pack_swiglu(const LinearWeights& gate, const LinearWeights& up) = 0;
  /// `weight` is C x 3 x 3; no bias.
  virtual PackedPtr pack_depthwise(std::span<const float> weight, int channels) = 0;
  /// `weight` is out x in x 3 x 3.
  virtual PackedPtr pack_conv3x3(const LinearWeights& weights) = 0;
  virtual PackedPtr pack_squeeze_excite(const SqueezeExciteWeights& weights) = 0;
  /// `weights` maps C to 9 * up * up, tap-major.
  virtual PackedPtr pack_mask(const LinearWeights& weights, int up) = 0;

  // ---- backbone ---------------------------------------------------------------------------------------------------
  /// Of a staged frame: resize to (grid * patch), x/255, ImageNet normalisation, one row per patch: patches (N x
  /// 3*patch*patch), channel-major.
  virtual void preprocess_patches(const Frame& frame, Grid grid, int patch, OperandMatrix patches) = 0;
  /// x (prefix + N x C) = [prefix tokens; W patches + b].
  virtual void embed(OperandMatrix patches, const Packed& linear, const Packed& prefix_tokens, RealMatrix x) = 0;
  /// q, k, v of every head from W norm(x) + b, patches of q and k rotated. `qkv`
  /// (qkv_elements, without rows or columns) is in a layout of the engine's own, for `attention` alone.
  virtual void norm_qkv_rope(RealMatrix x, const Packed& norm, const Packed& qkv_weights, const Packed& rope,
                             AttentionShape shape, OperandMatrix qkv) = 0;
  /// out (rows x C) = softmax(q k^T / sqrt(head_dim)) v of every image, heads side by side.
  virtual void attention(OperandMatrix qkv, AttentionShape shape, OperandMatrix out) = 0;
  /// x += gain * (W in + b).
  virtual void linear_add(OperandMatrix in, const Packed& linear, RealMatrix x) = 0;
  /// out (N x hidden) = silu(gate norm(x)) * (up norm(x)).
  virtual void norm_swiglu(RealMatrix x, const Packed& norm, const Packed& swiglu, OperandMatrix out) = 0;
  /// out (N x hidden) = gelu(W norm(x) + b), the exact GELU.
  virtual void norm_gelu(RealMatrix x, const Packed& norm, const Packed& linear, OperandMatrix out) = 0;
  /// out = norm(x).
  virtual void layer_norm(RealMatrix x, const Packed& norm, RealMatrix out) = 0;

  // ---- head -------------------------------------------------------------------------------------------------------
  /// out (N x proj) = silu(W features + b).
  virtual void project_silu(RealMatrix features, const Packed& linear, OperandMatrix out) = 0;
  /// out (N x 3C + (2r+1)^2) = [a, b, |a - b|, a . b(y+dy, x+dx) / sqrt(C)], dy before dx, zero outside the map.
  virtual void correlation_concat(OperandMatrix a, OperandMatrix b, Grid grid, int radius, OperandMatrix out) = 0;
  /// out (N x C) = 3x3 depthwise convolution, zero padding, of [in * scale, extra]. `scale` (1 x in.cols) and `extra`
  /// (N x few) are optional.
  virtual void depthwise(OperandMatrix in, RealMatrix scale, RealMatrix extra, Grid grid, const Packed& weights,
                         OperandMatrix out) = 0;
  /// out (N x out) = silu(W in + b). `sums` (1 x out), optional, receives the sum of every column of `out`.
  virtual void pointwise_silu(OperandMatrix in, const Packed& linear, OperandMatrix out, RealMatrix sums) = 0;
  /// scale (1 x C) = sigmoid(fc2 silu(fc1 (sums / count))).
  virtual void squeeze_excite(RealMatrix sums, int count, const Packed& weights, RealMatrix scale) = 0;
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

  /// similarity (1 x 1) = how well `a` is found in `b`: the mean over the map of the best cosine of a patch of `a` with
  /// the patches of `b` in its window. `fused` is the output of correlation_concat for C = `channels`.
  virtual void match_similarity(OperandMatrix fused, Grid grid, int channels, int radius, RealMatrix similarity) = 0;

  // ---- two directions ---------------------------------------------------------------------------------------------
  /// Forward-backward check of two planar flows (2*H x W each), of a frame to the next and back. A pixel p goes to q =
  /// p + forward(p), and misses p by d = forward(p) + backward(q) on its way back (backward bilinear). With limit =
  /// 0.01
  /// (|forward(p)|^2 + |backward(q)|^2) + 0.5 (Sundaram, Brox & Keutzer, Dense point trajectories by GPU-accelerated
  /// large displacement optical flow, ECCV 2010, eq. 5): occlusion (H x W, an `output`: rows without padding) = 1 where
  /// |d|^2 > limit, else 0; confidence (H x W) = limit / (limit + |d|^2). Where q is outside of the map, or a value is
  /// not finite, occlusion is 1 and confidence 0. Both results are optional.
  virtual void round_trip(RealMatrix forward, RealMatrix backward, ByteMatrix occlusion, RealMatrix confidence) = 0;

  // ---- pictures ---------------------------------------------------------------------------------------------------
  /// picture (H x 3W, red, green, blue, an `output`: rows without padding) = planar `flow` (2*H x W) in the colour code
  /// of Baker et al. (A Database and Evaluation Methodology for Optical Flow, IJCV 2011): hue is the direction, by
  /// `color_wheel`, saturation the length. What is not finite is white. As flowToColor of lib/viz, to one level.
  virtual void color_flow(RealMatrix flow, const FlowColors& colors, ByteMatrix picture) = 0;
};

}  // namespace flow

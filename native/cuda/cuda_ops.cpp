#include "cuda/cuda_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cuda/copy.h"
#include "cuda/marked_stream.h"
#include "engine/known_memory.h"
#include "kernels/attention.h"
#include "kernels/color_flow.h"
#include "kernels/correlation.h"
#include "kernels/depthwise.h"
#include "kernels/layer_norm.h"
#include "kernels/mask_upsample.h"
#include "kernels/match_global.h"
#include "kernels/match_similarity.h"
#include "kernels/predict_flow.h"
#include "kernels/preprocess.h"
#include "kernels/resize_flow.h"
#include "kernels/round_trip.h"
#include "ops/color_wheel.h"
#include "ops/half.h"
#include "tensorrt/compiler.h"

namespace flow::cuda {

namespace {

/// The number of graphs that are kept. A stream whose frames come one by one needs two, because two feature maps take
/// turns; one whose frames wait needs six to twelve: three maps, or four, with two staging slots. There are more for
/// backward flow, and for each size.
constexpr std::size_t kept_recordings = 48;

template <class T>
const T& as(const Packed& packed) {
  return static_cast<const T&>(packed);
}

template <class Pointer>
const float* floats(const Pointer& memory) {
  return memory ? static_cast<const float*>(memory->data()) : nullptr;
}

float* floats(RealMatrix m) { return static_cast<float*>(m.data); }

/// Operands that are the stream itself are not written twice.
kernels::ResidualOutput residual_output(const Residual& r) {
  void* const operands = r.operands.data == r.x.data ? nullptr : r.operands.data;
  return {operands, floats(r.moments), r.operands.stride, r.moments.stride};
}

/// The instance of a kernel for a precision.
std::string named(const char* kernel, Precision precision) { return std::string(kernel) + "_" + suffix_of(precision); }

}  // namespace

CudaOps::CudaOps(ContextPtr context, Precision precision, bool may_widen, Wait wait)
    : context_(std::move(context)),
      precision_(precision),
      may_widen_(may_widen),
      excess_(context_),
      stream_(context_, wait),
      reached_(context_),
      copy_stream_(context_, wait),
      send_stream_(context_, wait),
      computed_(context_, Event::Timing::off, wait),
      branch_stream_(context_, wait),
      forked_(context_),
      branched_(context_),
      modules_(context_),
      packer_(stream_, precision, excess_) {
  const Context::Scope scope(*context_);
  modules_.find(named("layer_norm", precision));  // a build without kernels fails here, not at the first frame
  for (int slot = 0; slot < staging_slots; slot++) frames_.emplace_back(copy_stream_);
  for (int slot = 0; slot < output_slots; slot++) outputs_.emplace_back(stream_);
  other_excess_ = excess_.add(1);
}

CudaOps::~CudaOps() = default;

// ---- memory ---------------------------------------------------------------------------------------------------------

std::unique_ptr<Memory> CudaOps::allocate(std::size_t bytes) {
  return guarded([&] { return std::make_unique<DeviceMemory>(bytes, stream_); });
}

int CudaOps::stride(int cols) const { return kernels::round_up(cols, 16); }

std::size_t CudaOps::qkv_elements(AttentionShape shape) const {
  return std::size_t{3} * shape.heads * shape.rows() * kernels::padded_head_dim(shape.head_dim);
}

int CudaOps::moment_columns(int cols) const { return 2 * ceil_div(cols, kernels::moment_group); }

void* CudaOps::scratch(Scratch& scratch, std::size_t bytes) {
  if (launches_ != &stream_) throw Error(ErrorCode::native, "a stage that needs scratch memory runs in a branch");
  if (scratch.bytes < bytes) {
    recordings_.clear();  // their graphs use the old memory
    scratch.bytes = 0;
    scratch.memory.reset();
    scratch.memory = std::make_unique<DeviceMemory>(bytes, stream_);
    scratch.bytes = bytes;
  }
  return scratch.memory->data();
}

void* CudaOps::prepare_output(std::span<std::byte> host, int slot) {
  return guarded([&] {
    const auto index = static_cast<std::size_t>(slot);
    std::byte* const place = outputs_.at(index).prepare(host);
    places_.at(2 * frames_.size() + index) = place;
    return place;
  });
}

RealMatrix CudaOps::output(std::span<float> host, int slot, int rows, int cols) {
  return {prepare_output(std::as_writable_bytes(host), slot), rows, cols, cols};
}

ByteMatrix CudaOps::output(std::span<std::uint8_t> host, int slot, int rows, int cols) {
  return {prepare_output(std::as_writable_bytes(host), slot), rows, cols, cols};
}

template <class Kind>
void CudaOps::read_rows(Matrix<Kind> from, Precision precision, std::span<float> host) {
  guarded([&] {
    const std::size_t row = from.stride * bytes_of(precision), cols = from.cols;
    std::vector<std::byte> all(static_cast<std::size_t>(from.rows) * row);
    copy_to_host(from.data, all.size(), all.data(), stream_);
    stream_.synchronize();
    for (int r = 0; r < from.rows; r++) from_operands(precision, &all[r * row], host.subspan(r * cols, cols));
  });
}

template <class Kind>
void CudaOps::write_rows(std::span<const float> host, Precision precision, Matrix<Kind> to) {
  guarded([&] {
    const std::size_t row = to.stride * bytes_of(precision), cols = to.cols;
    std::vector<std::byte> all(static_cast<std::size_t>(to.rows) * row);
    for (int r = 0; r < to.rows; r++) to_operands(precision, host.subspan(r * cols, cols), &all[r * row]);
    copy_to_device(all.data(), all.size(), to.data, stream_);
    stream_.synchronize();
  });
}

void CudaOps::read(RealMatrix from, std::span<float> host) { read_rows(from, Precision::fp32, host); }
void CudaOps::read(OperandMatrix from, std::span<float> host) { read_rows(from, precision_, host); }
void CudaOps::write(std::span<const float> host, RealMatrix to) { write_rows(host, Precision::fp32, to); }
void CudaOps::write(std::span<const float> host, OperandMatrix to) { write_rows(host, precision_, to); }

void CudaOps::copy(const RowCopy& rows) {
  const auto is_on_device = [](const std::byte* first) {
    const MemoryPtr memory = holding({first, 1});
    return memory && memory->device() != Memory::host;
  };
  const bool from_device = is_on_device(rows.from), to_device = is_on_device(rows.to);
  guarded([&] {
    const bool tight = rows.from_step == rows.bytes && rows.to_step == rows.bytes;
    const std::size_t bytes = tight ? rows.rows * rows.bytes : rows.bytes;
    for (std::size_t row = 0; row < (tight ? 1 : rows.rows); row++) {
      const std::byte* const from = rows.from + row * rows.from_step;
      std::byte* const to = rows.to + row * rows.to_step;
      if (from_device && to_device) {
        copy_on_device(from, bytes, to, stream_);
      } else if (from_device) {
        copy_to_host(from, bytes, to, stream_);
      } else if (to_device) {
        copy_to_device(from, bytes, to, stream_);
      } else {
        std::memcpy(to, from, bytes);
      }
    }
    stream_.synchronize();
  });
}

/// Waits for all calls, and for the copies of their outputs unless they are sent apart.
void CudaOps::complete_outputs() {
  guarded([&] {
    if (sent_apart_) return computed_.synchronize();
    for (HostOutput& output : outputs_) output.download();
    stream_.synchronize();
  });
  completed_ = true;
}

void CudaOps::finish() {
  if (!completed_) complete_outputs();
  if (std::exchange(sent_apart_, false)) {
    sending_ = true;
  } else {
    for (HostOutput& output : outputs_) output.deliver();
  }
  forget_outputs();
}

/// The copy on the device lets the next sequence write the same outputs, which are parameters of recorded kernels. Two
/// sets of outputs would need twice as many recordings. The copy takes a few percent of the time of that to the host.
void CudaOps::send_apart() {
  deliver();
  guarded([&] {
    sent_apart_ = true;  // before the first, so that an error below has all forgotten
    bool any = false;
    try {
      for (HostOutput& output : outputs_) any |= output.set_aside();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::out_of_memory) throw;
      for (HostOutput& output : outputs_) output.forget_sent();
      any = false;  // they go as they would if no request waited
    }
    sent_apart_ = any;
    if (!any) return;
    computed_.record(stream_);
    send_stream_.wait(computed_);
    for (HostOutput& output : outputs_) output.send(send_stream_);
  });
}

void CudaOps::deliver() {
  if (!std::exchange(sending_, false)) return;
  // The error of a later request does not touch results that reach the host all the same.
  const std::string error_of_later = std::exchange(poison_, {});
  try {
    guarded([&] { send_stream_.synchronize(); });
  } catch (const Error& error) {
    // The later request has been given up, too, so it must not go on.
    for (HostOutput& output : outputs_) output.forget_sent();
    if (poison_.empty()) poison_ = error_of_later.empty() ? std::string(error.what()) : error_of_later;
    throw Error(ErrorCode::device, poison_);
  }
  for (HostOutput& output : outputs_) output.deliver_sent();
  poison_ = error_of_later;
}

void CudaOps::forget_outputs() {
  for (HostOutput& output : outputs_) output.forget();
  if (std::exchange(sent_apart_, false)) {
    for (HostOutput& output : outputs_) output.forget_sent();
  }
  places_ = {};
  completed_ = false;
}

void CudaOps::wait_for(const OtherStream& stream) {
  guarded([&] { stream_.wait(dynamic_cast<const MarkedStream&>(stream).marked()); });
}

void CudaOps::let_wait(const OtherStream& stream) {
  guarded([&] {
    reached_.record(stream_);
    dynamic_cast<const MarkedStream&>(stream).wait(reached_);
  });
}

// ---- range of numbers -----------------------------------------------------------------------------------------------

const char* CudaOps::wider_precision() const {
  if (precision_ == Precision::fp32) return "";
  const bool narrow = precision_ == Precision::fp16;
  return name_of(narrow && kernels_have(Precision::bf16, modules_.capability()) ? Precision::bf16 : Precision::fp32);
}

bool CudaOps::in_range() {
  complete_outputs();
  return !excess_.any();
}

float CudaOps::largest_operand() const {
  return precision_ == Precision::fp16 ? largest_fp16 : std::numeric_limits<float>::max();
}

float CudaOps::excess(const Packed& weights, int part) const {
  return as<PackedMatrix>(weights).excess.magnitude(part) / largest_operand();
}

/// A scale is a parameter of the kernels that were recorded.
void CudaOps::rescaled(float& scale, int exponent) {
  scale = std::ldexp(1.F, exponent);
  guarded([&] { recordings_.clear(); });
}

void CudaOps::scale_out(Packed& weights, int part, int exponent) {
  rescaled(dynamic_cast<PackedMatrix&>(weights).out_scale.at(static_cast<std::size_t>(part)), exponent);
}

void CudaOps::scale_in(Packed& weights, int exponent) {
  rescaled(dynamic_cast<PackedMatrix&>(weights).in_scale, exponent);
}

bool CudaOps::norm_apart(Packed& weights) {
  ProductNorm& norm = *as<PackedMatrix>(weights).norm;
  const float reported = norm.plain->excess.magnitude(0);
  if (norm.apart || reported == 0 || !std::isfinite(reported)) return false;
  norm.apart = true;
  guarded([&] { recordings_.clear(); });
  return true;
}

bool CudaOps::widen() {
  if (!may_widen_ || precision_ != Precision::fp16) return false;
  if (!kernels_have(Precision::bf16, modules_.capability())) return false;
  guarded([&] {
    recordings_.clear();
    stream_.synchronize();
    packer_.convert(Precision::bf16);
  });
  precision_ = Precision::bf16;
  return true;
}

void CudaOps::abandon() {
  forget_outputs();
  const Context::Scope scope(*context_);
  for (const Stream* stream : {&copy_stream_, &branch_stream_, &stream_, &send_stream_}) {
    try {
      stream->synchronize();
    } catch (const Error&) {
      // Without an event, the driver itself must wait. An error of that is the device's, and the next request meets it.
      driver().cuStreamSynchronize(stream->get());
    }
  }
}

// ---- sequences ------------------------------------------------------------------------------------------------------

/// The frame may be one of the next request, whose error must not touch the results of the request that runs.
Frame CudaOps::stage(const Frame& frame, int slot, int height, int width) {
  return with_context([&] { return frames_.at(static_cast<std::size_t>(slot)).put(frame, height, width); });
}

/// If there is a clock, reads it before and after the work that `calls` queue.
template <class Calls>
void CudaOps::timed(const Calls& calls) {
  if (clock_) guarded([&] { clock_->begin.record(stream_); });
  calls();
  if (clock_) guarded([&] { clock_->end.record(stream_); });
}

StagedFrame& CudaOps::staged(const Frame& frame) {
  const auto found = std::ranges::find_if(frames_, [&](const StagedFrame& f) { return f.holds(frame); });
  if (found == frames_.end()) throw Error(ErrorCode::native, "a frame was not staged");
  return *found;
}

void CudaOps::sequence(const SequenceKey* key, std::span<const Frame> frames, const std::function<void()>& calls) {
  Places places = places_;
  if (excess_.any()) excess_.clear();
  completed_ = false;
  if (std::exchange(sent_apart_, false)) {  // it runs again, so what it sent is of no use
    guarded([&] { send_stream_.synchronize(); });
    for (HostOutput& output : outputs_) output.forget_sent();
  }
  guarded([&] {
    for (std::size_t i = 0; i < frames.size(); i++) {
      const StagedFrame& frame = staged(frames[i]);
      places.at(2 * i) = frames[i].data;
      places.at(2 * i + 1) = frame.across();
      stream_.wait(frame.copied());
    }
  });
  if (key == nullptr) return timed(calls);
  const auto seen = std::ranges::find_if(recordings_, [&](const Recording& recording) {
    return recording.key == *key && recording.places == places && std::ranges::equal(recording.frames, frames);
  });
  if (seen == recordings_.end()) {
    timed(calls);  // one launch at a time: this loads kernels and allocates scratch, which a capture does not allow
    if (recordings_.size() == kept_recordings) recordings_.pop_back();
    recordings_.push_front({*key, {frames.begin(), frames.end()}, places, {}});
    return;
  }
  recordings_.splice(recordings_.begin(), recordings_, seen);
  Recording& recording = recordings_.front();
  guarded([&] {
    if (!recording.graph) recording.graph = stream_.capture(calls);
    timed([&] { recording.graph.launch(stream_); });
  });
}

void CudaOps::fork(const std::function<void()>& branch) {
  guarded([&] {
    forked_.record(stream_);
    branch_stream_.wait(forked_);
  });
  const struct Back {
    CudaOps& ops;
    ~Back() { ops.launches_ = &ops.stream_; }
  } back{*this};
  launches_ = &branch_stream_;
  launch_after_ = After::event;
  branch();
  guarded([&] { branched_.record(branch_stream_); });
}

void CudaOps::join() {
  guarded([&] { stream_.wait(branched_); });
  launch_after_ = After::event;
}

BackboneCompiler* CudaOps::compiler() {
  if (!compiler_) compiler_ = std::make_unique<tensorrt::Compiler>(stream_, precision_);
  return compiler_.get();
}

void CudaOps::time_sequences() {
  guarded([&] { clock_ = {Event(context_, Event::Timing::on), Event(context_, Event::Timing::on)}; });
}

void CudaOps::use_gemm_tile(const kernels::GemmTile& tile) { gemm_tile_ = &tile; }

void CudaOps::use_attention_queries(int queries) { attention_queries_ = queries; }

float CudaOps::sequence_milliseconds() {
  return guarded([&] { return clock_.value().end.milliseconds_since(clock_.value().begin); });
}

// ---- weights --------------------------------------------------------------------------------------------------------

/// Weights beyond the range of the precision widen it, if it may be.
template <class Pack>
PackedPtr CudaOps::packed(const Pack& pack) {
  try {
    return guarded(pack);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::precision || !widen()) throw;
    return guarded(pack);
  }
}

PackedPtr CudaOps::pack_values(std::span<const float> values) {
  return guarded([&] { return packer_.values(values); });
}
PackedPtr CudaOps::pack_norm(const NormWeights& weights) {
  return guarded([&] { return packer_.norm(weights); });
}
PackedPtr CudaOps::pack_linear(const LinearWeights& weights) {
  return packed([&] { return packer_.linear(weights); });
}
PackedPtr CudaOps::pack_flow(const LinearWeights& weights) {
  return guarded([&] { return packer_.flow(weights); });
}
PackedPtr CudaOps::pack_norm_linear(const NormWeights& norm, const LinearWeights& weights) {
  return packed([&] { return packer_.norm_linear(norm, weights); });
}
PackedPtr CudaOps::pack_qkv(const NormWeights& norm, const LinearWeights& weights, int heads) {
  return packed([&] { return packer_.qkv(norm, weights, heads); });
}
PackedPtr CudaOps::pack_rope(std::span<const float> cos, std::span<const float> sin, int half_dim) {
  return guarded([&] { return packer_.rope(cos, sin, half_dim); });
}
PackedPtr CudaOps::pack_swiglu(const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up) {
  return packed([&] { return packer_.swiglu(norm, gate, up); });
}
PackedPtr CudaOps::pack_depthwise(std::span<const float> weight, int channels) {
  return guarded([&] { return packer_.depthwise(weight, channels); });
}
PackedPtr CudaOps::pack_conv3x3(const LinearWeights& weights) {
  return packed([&] { return packer_.conv3x3(weights); });
}
PackedPtr CudaOps::pack_squeeze_excite(const SqueezeExciteWeights& weights) {
  return guarded([&] { return packer_.squeeze_excite(weights); });
}
PackedPtr CudaOps::pack_mask(const LinearWeights& weights, int up) {
  return packed([&] { return packer_.mask(weights, up); });
}

// ---- launches -------------------------------------------------------------------------------------------------------

kernels::GemmParams CudaOps::gemm_params(const void* a, int lda, int rows, const Packed& weights, void* out,
                                         int ldo) const {
  const auto& w = as<PackedMatrix>(weights);
  kernels::GemmParams params{};
  params.a = a;
  params.lda = lda;
  params.b = w.weights->data();
  params.ldb = w.k;
  params.bias = floats(w.bias);
  params.gain = floats(w.gain);
  params.scale = w.scale();
  params.out_scale = w.out_scale.front();
  params.excess = w.excess.device;
  params.out = out;
  params.ldo = ldo;
  params.m = rows;
  params.n = w.n;
  params.k = w.k;
  return params;
}

kernels::GemmTile CudaOps::gemm_tile(const char* op, const kernels::GemmParams& params) const {
  const int bytes = static_cast<int>(operand_bytes());
  const int capability = modules_.capability();
  if (gemm_tile_ == nullptr) return choose_gemm_tile(op, capability, params.m, params.n, params.k, bytes, device());
  const auto area = [](const kernels::GemmTile& tile) { return tile.rows * tile.cols; };
  return *std::ranges::find_if(kernels::gemm_tiles_of(op, bytes, capability),
                               [&](const auto& tile) { return area(tile) <= area(*gemm_tile_); });
}

void CudaOps::run_gemm(const char* op, const kernels::GemmParams& params) {
  const int bytes = static_cast<int>(operand_bytes());
  const kernels::GemmTile tile = gemm_tile(op, params);
  const std::string name = named((std::string("gemm_") + op).c_str(), precision_) + "_" + std::to_string(tile.rows) +
                           "x" + std::to_string(tile.cols);
  const int columns = ceil_div(params.n, tile.cols), rows = ceil_div(params.m, tile.rows);
  // A tile that is forced comes with panels of some columns, where a device of the tests would choose all of them.
  const int panel = gemm_tile_ != nullptr ? middle_divisor(columns)
                                          : choose_gemm_panel(tile, params.m, params.n, params.k, bytes, device());
  const int shared =
      kernels::gemm_shared_bytes(tile, bytes) + (params.norm.sums != nullptr ? kernels::gemm_norm_bytes(tile) : 0);
  launch(name, {panel, rows, columns / panel}, {tile.threads}, shared, params);
}

void CudaOps::run_layer_norm(RealMatrix x, const Packed& norm, void* out, int ldo, Precision precision) {
  const auto& weights = as<PackedNorm>(norm);
  // Features are float32, but become operands in the head's first product: they have the same limit.
  const kernels::LayerNormParams params{
      floats(x),       floats(weights.gamma), floats(weights.beta), out, x.rows, x.cols, x.stride, ldo,
      weights.epsilon, largest_operand(),     weights.excess.device};
  launch(named("layer_norm", precision), {ceil_div(x.rows, kernels::layer_norm_rows)}, {kernels::layer_norm_threads}, 0,
         params);
}

kernels::GemmParams CudaOps::norm_gemm_params(const Residual& residual, const Packed& weights, void* out, int ldo) {
  const ProductNorm& norm = *as<PackedMatrix>(weights).norm;
  const RealMatrix x = residual.x, moments = residual.moments;
  OperandMatrix in = residual.operands;
  if (norm.apart) {
    in = {nullptr, x.rows, x.cols, x.stride};
    in.data =
        guarded([&] { return scratch(normalised_, static_cast<std::size_t>(x.rows) * x.stride * operand_bytes()); });
    run_layer_norm(x, *norm.plain, in.data, in.stride, precision_);
  }
  kernels::GemmParams params = gemm_params(in.data, in.stride, in.rows, weights, out, ldo);
  params.norm = {norm.apart ? nullptr : floats(moments),
                 floats(norm.sums),
                 moments.stride,
                 norm.cols,
                 norm.plain->epsilon,
                 largest_operand(),
                 norm.plain->excess.device};
  return params;
}

// ---- backbone -------------------------------------------------------------------------------------------------------

void CudaOps::preprocess_patches(const Frame& frame, Grid grid, int patch, OperandMatrix patches) {
  const StagedFrame& on_device = staged(frame);
  const int height = grid.height * patch, width = grid.width * patch;
  const kernels::PreprocessParams params{view_of(frame), on_device.across(), on_device.down(), width, height,
                                         patch,          patches.data,       patches.stride};
  launch(named("preprocess", precision_), {ceil_div(width, 32), ceil_div(height, 8)}, {32, 8}, 0, params);
}

void CudaOps::embed(OperandMatrix patches, const Packed& linear, const Packed& prefix_tokens,
                    const Residual& residual) {
  const auto& tokens = as<PackedFloats>(prefix_tokens);
  const int prefix = tokens.count / residual.x.cols;
  const Residual to = rows_of(residual, prefix, patches.rows, operand_bytes());
  kernels::GemmParams params = gemm_params(patches.data, patches.stride, patches.rows, linear, to.x.data, to.x.stride);
  params.residual = residual_output(to);
  params.prefix = {floats(tokens.values), prefix};
  run_gemm("embed", params);
}

void CudaOps::norm_qkv_rope(const Residual& x, const Packed& qkv_weights, const Packed& rope, AttentionShape shape,
                            OperandMatrix qkv) {
  kernels::GemmParams params = norm_gemm_params(x, qkv_weights, qkv.data, 0);
  const int head_dim = kernels::padded_head_dim(shape.head_dim);
  const auto& scale = as<PackedMatrix>(qkv_weights).out_scale;
  const float q_scale = 1.44269504F / std::sqrt(static_cast<float>(shape.head_dim));
  params.qkv = {shape.heads,
                head_dim,
                shape.tokens,
                shape.prefix,
                {q_scale * scale[0], scale[1], scale[2]},
                floats(as<PackedRope>(rope).cos),
                floats(as<PackedRope>(rope).sin),
                static_cast<long long>(shape.heads) * shape.tokens * head_dim};
  run_gemm("qkv", params);
}

void CudaOps::attention(OperandMatrix qkv, AttentionShape shape, OperandMatrix out) {
  const int head_dim = kernels::padded_head_dim(shape.head_dim);
  const int bytes = static_cast<int>(operand_bytes());
  const std::size_t part = static_cast<std::size_t>(shape.heads) * shape.tokens * head_dim * operand_bytes();
  const auto* q = static_cast<const std::byte*>(qkv.data);
  kernels::AttentionParams params{};
  params.q = q;
  params.k = q + part;
  params.v = q + 2 * part;
  params.out = out.data;
  params.ldo = out.stride;
  params.tokens = shape.tokens;
  params.heads = shape.heads;
  params.head_dim = shape.head_dim;
  // The same for any number of images, so that an image's result is.
  const AttentionWork work{shape.tokens, shape.heads, head_dim, bytes};
  const kernels::AttentionBlock block = attention_block(work);
  params.keys_per_split = choose_attention_splits(block, work, device());
  const int splits = ceil_div(shape.tokens, params.keys_per_split);
  const int blocks = ceil_div(shape.tokens, block.queries), heads = shape.images * shape.heads;
  if (splits > 1) {
    guarded([&] {
      const std::size_t rows = static_cast<std::size_t>(splits) * heads * blocks * block.queries;
      params.partial = static_cast<float*>(
          scratch(partial_outputs_, rows * kernels::attention_partial_floats(head_dim) * sizeof(float)));
      params.arrived = static_cast<unsigned*>(
          scratch(attention_arrived_, static_cast<std::size_t>(blocks) * heads * sizeof(unsigned)));
    });
  }
  const std::string name =
      named("attention", precision_) + "_" + std::to_string(head_dim) + "_" + std::to_string(block.queries);
  launch(name, {blocks, heads, splits}, {block.threads}, kernels::attention_shared_bytes(block, head_dim, bytes),
         params);
}

kernels::AttentionBlock CudaOps::attention_block(AttentionWork work) const {
  for (const kernels::AttentionBlock& block : kernels::attention_blocks_of(work.head_dim, work.element_bytes)) {
    if (block.queries == attention_queries_) return block;
  }
  return choose_attention_block(work, device());
}

void CudaOps::linear_add(OperandMatrix in, const Packed& linear, const Residual& x) {
  kernels::GemmParams params = gemm_params(in.data, in.stride, in.rows, linear, x.x.data, x.x.stride);
  params.residual = residual_output(x);
  run_gemm("add", params);
}

void CudaOps::norm_swiglu(const Residual& x, const Packed& swiglu, OperandMatrix out) {
  run_gemm("swiglu", norm_gemm_params(x, swiglu, out.data, out.stride));
}

void CudaOps::norm_gelu(const Residual& x, const Packed& linear, OperandMatrix out) {
  run_gemm("gelu", norm_gemm_params(x, linear, out.data, out.stride));
}

void CudaOps::layer_norm(RealMatrix x, const Packed& norm, RealMatrix out) {
  run_layer_norm(x, norm, out.data, out.stride, Precision::fp32);
}

// ---- head -----------------------------------------------------------------------------------------------------------

void CudaOps::project_silu(RealMatrix features, const Packed& linear, OperandMatrix out) {
  run_gemm("project", gemm_params(features.data, features.stride, features.rows, linear, out.data, out.stride));
}

void CudaOps::correlation_concat(OperandMatrix a, OperandMatrix b, Grid grid, int radius, OperandMatrix out) {
  const kernels::CorrelationParams params{a.data, b.data,   out.data, grid.height, grid.width,          a.cols,
                                          radius, a.stride, b.stride, out.stride,  other_excess_.device};
  launch(
      named("correlation", precision_),
      {ceil_div(grid.width, kernels::correlation_tile_width), ceil_div(grid.height, kernels::correlation_tile_height)},
      {kernels::correlation_threads}, kernels::correlation_shared_bytes, params);
}

void CudaOps::depthwise(OperandMatrix in, const SqueezeExcite& excite, RealMatrix extra, Grid grid,
                        const Packed& weights, OperandMatrix out) {
  const auto& taps = as<PackedDepthwise>(weights);
  kernels::DepthwiseParams params{in.data,     floats(extra), floats(taps.taps),    out.data,  grid.height,
                                  grid.width,  in.cols,       extra.cols,           in.stride, extra.stride,
                                  taps.stride, out.stride,    other_excess_.device, {}};
  int shared_bytes = 0;
  if (excite.weights != nullptr) {
    const auto& se = as<PackedSqueezeExcite>(*excite.weights);
    params.excite = {floats(excite.squeezed), excite.squeezed.rows, se.reduced,      excite.squeezed.stride,
                     floats(se.bias1),        floats(se.fc2),       floats(se.bias2)};
    shared_bytes = kernels::depthwise_shared_bytes(se.reduced);
  }
  launch(named("depthwise", precision_),
         {ceil_div(grid.width, kernels::depthwise_tile_width), ceil_div(grid.height, kernels::depthwise_tile_height),
          ceil_div(in.cols + extra.cols, kernels::depthwise_channels)},
         {kernels::depthwise_threads}, shared_bytes, params);
}

void CudaOps::pointwise_silu(OperandMatrix in, const Packed& linear, OperandMatrix out, const SqueezeExcite& squeeze) {
  static_assert(squeeze_channels == kernels::squeeze_channels);
  kernels::GemmParams params = gemm_params(in.data, in.stride, in.rows, linear, out.data, out.stride);
  if (squeeze.weights != nullptr) {
    const auto& se = as<PackedSqueezeExcite>(*squeeze.weights);
    guarded([&] {
      constexpr kernels::GemmTile smallest = kernels::gemm_tiles[std::size(kernels::gemm_tiles) - 1];
      const std::size_t sums = static_cast<std::size_t>(ceil_div(params.m, smallest.rows)) * params.n;
      params.squeeze = {
          floats(squeeze.squeezed),
          se.reduced,
          squeeze.squeezed.stride,
          floats(se.fc1),
          static_cast<float*>(scratch(partial_sums_, sums * sizeof(float))),
          static_cast<unsigned*>(scratch(sums_arrived_, ceil_div(params.n, smallest.cols) * sizeof(unsigned)))};
    });
  }
  run_gemm("silu", params);
}

void CudaOps::predict_flow(OperandMatrix in, const Packed& linear, RealMatrix base, RealMatrix flow) {
  const auto& w = as<PackedFlow>(linear);
  const kernels::PredictFlowParams params{in.data,      floats(w.weight), floats(w.bias), floats(base),
                                          floats(flow), in.rows,          in.cols,        in.stride,
                                          w.stride,     base.stride,      flow.stride,    other_excess_.device};
  launch(named("predict_flow", precision_), {ceil_div(in.rows, kernels::predict_flow_rows)},
         {kernels::predict_flow_threads}, 0, params);
}

void CudaOps::conv3x3_relu(OperandMatrix in, Grid grid, const Packed& weights, OperandMatrix out) {
  kernels::GemmParams params = gemm_params(in.data, in.stride, in.rows, weights, out.data, out.stride);
  params.conv = {grid.height, grid.width, as<PackedMatrix>(weights).channels};
  run_gemm("conv3x3", params);
}

void CudaOps::mask_upsample(OperandMatrix in, RealMatrix flow, Grid grid, const Packed& mask, RealMatrix out) {
  const auto& w = as<PackedMatrix>(mask);
  kernels::MaskUpsampleParams params{};
  params.in = in.data;
  params.ldi = in.stride;
  params.weights = w.weights->data();
  params.ldw = w.k;
  params.k = w.k;
  params.bias = floats(w.bias);
  params.flow = floats(flow);
  params.ld_flow = flow.stride;
  params.out_x = floats(out);
  params.out_y = floats(out) + static_cast<std::ptrdiff_t>(out.rows) / 2 * out.stride;
  params.ldo = out.stride;
  params.scale = w.scale();
  params.excess = w.excess.device;
  params.height = grid.height;
  params.width = grid.width;
  params.up = w.up;
  launch(named("mask_upsample", precision_),
         {ceil_div(w.up * w.up, kernels::mask_subpixels), ceil_div(grid.size(), kernels::mask_rows)},
         {kernels::mask_threads}, kernels::mask_shared_bytes(static_cast<int>(operand_bytes())), params);
}

void CudaOps::resize_flow(RealMatrix in, RealMatrix out) {
  const kernels::ResizeFlowParams params{floats(in),   floats(out), in.rows / 2, in.cols,
                                         out.rows / 2, out.cols,    in.stride,   out.stride};
  launch("resize_flow", {ceil_div(out.cols, 32), ceil_div(out.rows / 2, 8), 2}, {32, 8}, 0, params);
}

void CudaOps::match_similarity(OperandMatrix fused, Grid grid, int channels, int radius, RealMatrix similarity) {
  void* norms =
      guarded([&] { return scratch(match_norms_, 2 * sizeof(float) * static_cast<std::size_t>(grid.size())); });
  const kernels::MatchSimilarityParams params{
      fused.data,  static_cast<float*>(norms), floats(similarity), grid.height, grid.width, channels, radius,
      fused.stride};
  launch(named("match_norms", precision_), {ceil_div(grid.size(), kernels::match_norms_pixels)},
         {kernels::match_norms_threads}, 0, params);
  launch(named("match_similarity", precision_), {1}, {kernels::match_similarity_threads},
         kernels::match_similarity_shared_bytes, params);
}

void CudaOps::match_global(OperandMatrix a, OperandMatrix b, Grid grid, const MatchOptions& options, RealMatrix flow) {
  static_assert(match_near == kernels::match_near);
  const int channels = a.cols, cells = grid.size(), ld = kernels::match_descriptor_stride(channels);
  const std::size_t maps = 2, keys = maps * sizeof(kernels::MatchKey) * cells,
                    descriptors = maps * sizeof(float) * cells * ld, means = maps * sizeof(float) * channels,
                    seconds = sizeof(int) * cells;
  auto* memory =
      static_cast<std::byte*>(guarded([&] { return scratch(match_global_, descriptors + keys + means + seconds); }));
  kernels::MatchGlobalParams params{};
  params.a = a.data, params.lda = a.stride;
  params.b = b.data, params.ldb = b.stride;
  params.descriptors = reinterpret_cast<float*>(memory), params.ld = ld;
  params.best = reinterpret_cast<kernels::MatchKey*>(memory + descriptors);
  params.means = reinterpret_cast<float*>(memory + descriptors + keys);
  params.second = reinterpret_cast<int*>(memory + descriptors + keys + means);
  params.flow = floats(flow), params.ldf = flow.stride;
  params.height = grid.height, params.width = grid.width, params.channels = channels;
  params.lead = options.lead, params.agree = options.agree;
  launch(named("match_means", precision_), {ceil_div(channels, kernels::match_means_channels), 2},
         {kernels::match_means_threads}, kernels::match_means_shared_bytes, params);
  launch(named("match_describe", precision_), {ceil_div(cells, kernels::match_describe_cells), 2},
         {kernels::match_describe_threads}, 0, params);
  const int tiles = ceil_div(cells, kernels::match_tile);
  for (const char* kernel : {"match_best", "match_second"}) {
    launch(kernel, {tiles, tiles}, {kernels::match_tile_threads}, kernels::match_tile_shared_bytes, params);
  }
  launch("match_accept", {ceil_div(cells, kernels::match_accept_threads)}, {kernels::match_accept_threads}, 0, params);
}

// ---- two directions -------------------------------------------------------------------------------------------------

void CudaOps::round_trip(RealMatrix forward, RealMatrix backward, ByteMatrix occlusion, RealMatrix confidence) {
  const int height = forward.rows / 2, width = forward.cols;
  const kernels::RoundTripParams params{
      floats(forward),    floats(backward), static_cast<std::uint8_t*>(occlusion.data),
      floats(confidence), height,           width,
      forward.stride,     backward.stride,  confidence.stride};
  launch("round_trip", {ceil_div(width, 32), ceil_div(height, 8)}, {32, 8}, 0, params);
}

// ---- pictures -------------------------------------------------------------------------------------------------------

void CudaOps::color_flow(RealMatrix flow, const FlowColors& colors, ByteMatrix picture) {
  kernels::ColorFlowParams params{};
  params.flow = floats(flow);
  params.height = flow.rows / 2;
  params.width = flow.cols;
  params.ldf = flow.stride;
  params.picture = static_cast<std::uint8_t*>(picture.data);
  params.scale = colors.scale;
  params.clip_max = colors.clip_max;
  params.clip_min = colors.clip_min;
  static_assert(color_wheel.size() == kernels::wheel_colors);
  for (std::size_t i = 0; i <= color_wheel.size(); i++) {
    const auto [red, green, blue] = color_wheel[i % color_wheel.size()];
    params.wheel[i] = static_cast<std::uint32_t>(red | green << 8 | blue << 16);
  }
  if (colors.scale == 0) {
    void* memory = guarded([&] { return scratch(longest_, kernels::most_longest_motions * sizeof(float)); });
    auto* longest = static_cast<float*>(memory);
    params.longest = longest;
    params.longest_count = kernels::longest_motion_blocks(params.height);
    launch("longest_motion", {params.longest_count}, {kernels::longest_motion_threads},
           kernels::longest_motion_shared_bytes,
           kernels::LongestMotionParams{params.flow, params.height, params.width, params.ldf, longest});
  }
  launch("color_flow",
         {ceil_div(params.height * params.width, kernels::color_flow_threads * kernels::color_flow_pixels)},
         {kernels::color_flow_threads}, kernels::color_flow_shared_bytes, params);
}

}  // namespace flow::cuda

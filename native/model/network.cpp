#include "model/network.h"

#include <algorithm>
#include <utility>

#include "model/key_writer.h"
#include "ops/error.h"

namespace flow {

namespace {

/// Number of input sizes whose buffers are kept. A service that mixes a few sizes allocates nothing, and memory stays
/// bounded if there are many.
constexpr std::size_t kept_plans = 3;

/// The slots of a request's results for `Ops::output`. The first two are also indices of `scratch_`.
enum OutputSlot : int { forward_slot, backward_slot, occlusion_slot, confidence_slot, picture_slot, similarity_slot };
/// Index of `scratch_`.
constexpr int refined_scratch = 2;

bool is_frame(const Input& input) { return std::holds_alternative<Frame>(input); }

/// One bit per result that a request asks for.
std::uint64_t results_of(const Request& request) {
  const bool wanted[] = {!request.flow.empty(),       !request.backward.empty(), !request.occlusion.empty(),
                         !request.confidence.empty(), !request.picture.empty(),  !request.similarity.empty()};
  std::uint64_t bits = 0;
  for (const bool result : wanted) bits = bits << 1 | static_cast<std::uint64_t>(result);
  return bits;
}

/// The plan that `fits`, moved to the front; null if there is none.
template <class Plan, class Fits>
Plan* use(std::vector<std::unique_ptr<Plan>>& plans, const Fits& fits) {
  const auto known = std::ranges::find_if(plans, [&](const auto& plan) { return fits(*plan); });
  if (known == plans.end()) return nullptr;
  std::rotate(plans.begin(), known, known + 1);
  return plans.front().get();
}

/// Adds a plan at the front. `make` runs once there is room, so that the memory of the oldest is free by then.
template <class Plan, class Make>
Plan& add(std::vector<std::unique_ptr<Plan>>& plans, const Make& make) {
  if (plans.size() == kept_plans) plans.pop_back();
  return **plans.insert(plans.begin(), std::make_unique<Plan>(make()));
}

}  // namespace

/// One input in the engine's memory: features, and the frame if they are still to be computed from it.
struct Network::Source {
  FeatureSlotPtr slot;
  std::optional<Frame> frame;  // staged
};

/// A request whose inputs and results have their places in the engine's memory.
struct Network::Job {
  Plan* plan = nullptr;  // null if nothing is to be computed
  Source from, to;
  RefinePlan* refine_plan = nullptr;  // null if flow is not refined
  RefineOptions refine = {};
  RealMatrix refined = {};  // where flow is refined if its size is not that of the results
  RealMatrix flow = {}, backward = {}, confidence = {}, similarity = {};
  ByteMatrix occlusion = {}, picture = {};
  FlowColors colors = {};
  bool encodes_pair = false;  // both frames in one pass of the backbone
  bool rates = false;         // confidence is that of the refinement
};

Network::Network(std::unique_ptr<Ops> ops, const BackboneConfig& backbone, const HeadConfig& head,
                 WeightSource& backbone_weights, WeightSource& head_weights)
    : ops_(std::move(ops)),
      vit_(*ops_, backbone, backbone_weights),
      head_(*ops_, head, backbone.dim, head_weights),
      refiner_(*ops_),
      features_(*ops_, backbone.dim),
      stager_(*ops_, backbone.patch),
      patch_(backbone.patch) {}

Outcome Network::run(const Request& request, const std::function<bool()>& while_computing) {
  try {
    return answer(request, while_computing);
  } catch (...) {
    ops_->abandon();
    throw;
  }
}

Outcome Network::answer(const Request& request, const std::function<bool()>& while_computing) {
  if (request.skip_duplicate && answer_duplicate(request)) {
    ops_->abandon();  // the frame may have been staged ahead
    return {.duplicate = true};
  }
  const Job job = place(request);
  bool others = false;  // whether other requests wait
  if (job.plan != nullptr) {
    KeyWriter key;
    key.add(job.plan->id).add(job.from.frame).add(job.from.slot).add(job.to.frame).add(job.to.slot);
    key.add(results_of(request));
    for (const ScratchFlow& scratch : scratch_) key.add(scratch.number());
    key.add(static_cast<std::uint64_t>(request.height)).add(static_cast<std::uint64_t>(request.width));
    key.add(job.colors.scale).add(job.colors.clip_max).add(job.colors.clip_min);
    if (request.refine) {
      key.add(job.refine_plan == nullptr ? 0 : job.refine_plan->id);
      key.add(static_cast<std::uint64_t>(request.refine->preset) + 1).add(request.refine->smoothness);
    }
    const auto calls = [&] { compute(job, request.trace); };
    std::array<Frame, 2> frames{};
    std::size_t count = 0;
    for (const Source* source : {&job.from, &job.to}) {
      if (source->frame) frames.at(count++) = *source->frame;
    }
    // A trace reads between stages, so it cannot be recorded. std::cref, because std::function would allocate for a
    // copy.
    const auto run_calls = [&] {
      ops_->sequence(request.trace == nullptr ? &key.key() : nullptr, std::span(frames).first(count), std::cref(calls));
      for (const OtherStreamPtr& stream : request.streams) ops_->let_wait(*stream);
    };
    for (const OtherStreamPtr& stream : request.streams) ops_->wait_for(*stream);
    run_calls();
    const auto others_wait = [&] { return while_computing && ops_->stages_ahead() && while_computing(); };
    others = others_wait();
    if (request.skip_duplicate) {  // here, so that it overlaps with the device
      if (const auto* frame = std::get_if<Frame>(&request.from)) job.from.slot->frame.assign(*frame);
      if (const auto* frame = std::get_if<Frame>(&request.to)) job.to.slot->frame.assign(*frame);
    }
    others |= others_wait();
    if (others) ops_->send_apart();
    for (int scalings = 0; !ops_->in_range();) {
      make_room(scalings);
      if (request.trace != nullptr) request.trace->clear();
      run_calls();
    }
  }
  if (!request.features.empty()) ops_->read(job.from.slot->matrix, request.features);
  if (request.keep_from != 0) features_.keep(request.keep_from, job.from.slot);
  if (request.keep_to != 0) features_.keep(request.keep_to, job.to.slot);
  Outcome outcome;
  if (std::exchange(numerics_changed_, false)) outcome.numerics = numerics();
  // Last: the results of a request that fails must not be on their way.
  ops_->finish();
  outcome.sending = others && ops_->is_sending();
  return outcome;
}

/// Changes scales, or the precision, so that the values of the sequence that has just run are in range when it runs
/// again. Throws Error(precision) if nothing helps. `scalings` counts those of this request.
void Network::make_room(int& scalings) {
  // A scale follows from magnitudes that saturation in earlier blocks has changed, so one may not be enough. A norm is
  // taken apart only once, so these rounds end by themselves.
  constexpr int most_scalings = 8;
  numerics_changed_ = true;
  if (vit_.take_norms_apart()) return;
  if (scalings++ < most_scalings && vit_.scale_operands()) return;
  if (ops_->widen()) {
    compiled_.clear();  // it reads operands of the precision before
    return;
  }
  const std::string precision = ops_->precision(), wider = ops_->wider_precision();
  throw Error(ErrorCode::precision,
              wider.empty() ? "features or flow are infinite or NaN in precision '" + precision +
                                  "', the widest: the weights are damaged, or are not those of a network of this kind"
                            : "values of this frame are beyond the range of precision '" + precision +
                                  "', and no scale brings them back: load the model with precision '" + wider + "'");
}

void Network::copy(const RowCopy& rows, const OtherStreams& streams) {
  for (const OtherStreamPtr& stream : streams) ops_->wait_for(*stream);
  ops_->copy(rows);
}

// ---- a backbone that another library compiled -----------------------------------------------------------------------

BackboneCompiler::Info Network::describe_compiler() {
  const BackboneCompiler* const compiler = ops_->compiler();
  if (compiler != nullptr) return compiler->describe();
  return {.name = {}, .version = {}, .library = {}, .reason = "TensorRT: it needs a GPU, and this model is on the CPU"};
}

BackboneCompiler& Network::compiler() {
  BackboneCompiler* const compiler = ops_->compiler();
  if (compiler == nullptr) throw Error(ErrorCode::device, describe_compiler().reason);
  return *compiler;
}

BackboneTrial Network::use_plan(Grid grid, std::span<const std::byte> plan, bool only_if_faster) {
  BackboneCompiler& library = compiler();
  Plan& buffers = this->plan(grid);
  std::erase_if(compiled_, [&](const Compiled& known) { return known.grid == grid; });
  buffers.id = ++plans_made_;  // makes other keys: no sequence recorded with another backbone is replayed
  const FeatureSlotPtr features = features_.take(grid, {});
  auto backbone = library.load(plan, buffers.vit.patches, features->matrix);
  BackboneTrial trial = try_backbone(*ops_, vit_, buffers.vit, patch_, features->matrix, *backbone, ++plans_made_);
  judge(trial, library.describe().name, only_if_faster);
  if (trial.used) compiled_.push_back({grid, std::move(backbone)});
  return trial;
}

/// The one for frames of that grid, or null.
CompiledBackbone* Network::compiled(Grid grid) const {
  const auto known = std::ranges::find_if(compiled_, [&](const Compiled& each) { return each.grid == grid; });
  return known == compiled_.end() ? nullptr : known->backbone.get();
}

bool Network::answer_duplicate(const Request& request) {
  const auto* from = std::get_if<FeatureId>(&request.from);
  const auto* to = std::get_if<Frame>(&request.to);
  if (from == nullptr || to == nullptr) return false;
  const FeatureSlotPtr& slot = features_.find(*from);
  if (!slot->frame.equals(*to)) return false;
  std::ranges::fill(request.flow, 0.F);
  std::ranges::fill(request.backward, 0.F);
  std::ranges::fill(request.occlusion, std::uint8_t{0});
  std::ranges::fill(request.confidence, 1.F);
  std::ranges::fill(request.picture, std::uint8_t{255});  // no motion is white
  std::ranges::fill(request.similarity, 1.F);
  if (request.keep_to != 0) features_.keep(request.keep_to, slot);
  return true;
}

// ---- from a request to places in the engine's memory ----------------------------------------------------------------

Grid Network::grid_of(const Request& request) const {
  const auto* kept = std::get_if<FeatureId>(&request.from);
  return kept == nullptr || is_frame(request.to) ? request.grid : features_.find(*kept)->grid;
}

/// The size at which flow is refined, and pixels are kept.
std::optional<PixelSize> Network::refined_size(const Request& request) const {
  if (!request.refine) return {};
  const auto* kept = std::get_if<FeatureId>(&request.from);
  if (kept == nullptr) return PixelSize{request.height, request.width};
  const FeatureSlotPtr& features = features_.find(*kept);
  if (!features->pyramid) throw Error(ErrorCode::argument, "the feature map keeps no pixels to refine its flow by");
  return features->pyramid->size();
}

Network::Plan& Network::plan(Grid grid) {
  if (Plan* known = use(plans_, [&](const Plan& plan) { return plan.vit.grid == grid; })) return *known;
  return add(plans_, [&] { return Plan{++plans_made_, vit_.plan(grid, 1), {}, head_.plan(grid)}; });
}

Network::RefinePlan& Network::refine_plan(PixelSize size) {
  if (RefinePlan* known = use(refine_plans_, [&](const RefinePlan& plan) { return plan.size == size; })) return *known;
  return add(refine_plans_, [&] { return RefinePlan{++plans_made_, size, refiner_.plan(size.height, size.width)}; });
}

Network::Source Network::source(const Input& input, const std::optional<Frame>& staged, Grid grid,
                                std::optional<PixelSize> refined) {
  if (const auto* kept = std::get_if<FeatureId>(&input)) {
    const FeatureSlotPtr& features = features_.find(*kept);
    if (features->grid != grid) throw Error(ErrorCode::argument, "the two feature maps are of different sizes");
    if (refined && (!features->pyramid || features->pyramid->size() != *refined)) {
      throw Error(ErrorCode::argument, "the two feature maps keep pixels of different sizes");
    }
    return {features, {}};
  }
  if (!staged) return {};
  return {features_.take(grid, refined), staged};
}

Network::Job Network::place(const Request& request) {
  const Grid grid = grid_of(request);
  const std::optional<PixelSize> refined = refined_size(request);
  Job job;
  job.rates = !request.confidence.empty() && refined && Refiner::can_rate(*refined);
  const bool wants_round_trip = !request.occlusion.empty() || (!request.confidence.empty() && !job.rates);
  const bool wants_backward = !request.backward.empty() || wants_round_trip;
  const bool wants_head = request.wants_forward() || wants_backward;
  if (is_frame(request.from) || is_frame(request.to) || wants_head) job.plan = &plan(grid);
  const FrameStager::Staged staged = stager_.stage(request);
  job.from = source(request.from, staged.from, grid, refined);
  job.to = source(request.to, staged.to, grid, refined);
  job.encodes_pair = job.from.frame && job.to.frame && ops_->images_per_pass() > 1 && request.trace == nullptr &&
                     compiled(grid) == nullptr;
  if (job.encodes_pair && !job.plan->vit_pair) job.plan->vit_pair.emplace(vit_.plan(grid, 2));
  if (!job.from.slot || (wants_head && !job.to.slot)) {
    throw Error(ErrorCode::argument, "flow needs two frames or feature maps");
  }
  const std::size_t values =
      static_cast<std::size_t>(grid.size()) * static_cast<std::size_t>(job.from.slot->matrix.cols);
  if (!request.features.empty() && request.features.size() != values) {
    throw Error(ErrorCode::argument, "the output has another length than the features");
  }
  if (refined && wants_head) {
    job.refine_plan = &refine_plan(*refined);
    job.refine = RefineOptions::of(*request.refine);
    if (*refined != PixelSize{request.height, request.width}) {
      job.refined = scratch_[refined_scratch].get(*ops_, refined->height, refined->width);
    }
  }
  if (request.wants_forward()) job.flow = flow_output(request.flow, forward_slot, request);
  if (wants_backward) job.backward = flow_output(request.backward, backward_slot, request);
  const int height = request.height, width = request.width;
  if (!request.occlusion.empty()) job.occlusion = ops_->output(request.occlusion, occlusion_slot, height, width);
  if (!request.confidence.empty()) job.confidence = ops_->output(request.confidence, confidence_slot, height, width);
  if (!request.picture.empty()) job.picture = ops_->output(request.picture, picture_slot, height, 3 * width);
  if (!request.similarity.empty()) job.similarity = ops_->output(request.similarity, similarity_slot, 1, 1);
  job.colors = request.colors;
  return job;
}

/// A flow in `host`, or in scratch memory if `host` is empty.
RealMatrix Network::flow_output(std::span<float> host, int slot, const Request& request) {
  if (!host.empty()) return ops_->output(host, slot, 2 * request.height, request.width);
  return scratch_.at(static_cast<std::size_t>(slot)).get(*ops_, request.height, request.width);
}

// ---- the computation ------------------------------------------------------------------------------------------------

/// out = the flow between two frames, refined if the job says so. `after_back`: the last flow was that the other way.
void Network::find_flow(const Job& job, const FeatureSlot& from, const FeatureSlot& to, bool after_back, RealMatrix out,
                        RealMatrix similarity, Trace* trace) const {
  FlowHead::Plan& plan = job.plan->head;
  if (job.refine_plan == nullptr) {
    head_.run(from.matrix, to.matrix, plan, out, similarity, trace);
    return;
  }
  const Refiner::Start starts[] = {{plan.upsampled, plan.upsampled.cols / plan.grid.width}, {plan.matched, 1}};
  const auto used = std::span(starts).first(job.refine.matches ? 2 : 1);
  Refiner::Plan& buffers = job.refine_plan->buffers;
  if (job.refine.both_ways && !after_back) {
    head_.run(to.matrix, from.matrix, plan, {}, {}, nullptr);
    if (job.refine.matches) head_.match(plan);
    refiner_.run_back(*to.pyramid, *from.pyramid, used, job.refine, buffers);
  }
  head_.run(from.matrix, to.matrix, plan, {}, similarity, trace);
  if (job.refine.matches) head_.match(plan);
  const RealMatrix refined = job.refined ? job.refined : out;
  refiner_.run(*from.pyramid, *to.pyramid, used, job.refine, buffers, refined);
  if (job.refined) ops_->resize_flow(refined, out);
}

void Network::encode(const Source& source, Plan& plan, Trace* trace) const {
  if (!source.frame) return;
  const Vit::Image image{*source.frame, source.slot->matrix};
  if (CompiledBackbone* backbone = compiled(plan.vit.grid); backbone != nullptr && trace == nullptr) {
    return vit_.run(image, plan.vit, *backbone);
  }
  vit_.run({&image, 1}, plan.vit, trace);
}

void Network::compute(const Job& job, Trace* trace) const {
  if (job.encodes_pair) {
    const Vit::Image pair[] = {{*job.from.frame, job.from.slot->matrix}, {*job.to.frame, job.to.slot->matrix}};
    vit_.run(pair, *job.plan->vit_pair, nullptr);
  } else {
    if (trace != nullptr) trace->set_prefix("frame1.");
    encode(job.from, *job.plan, trace);
    if (trace != nullptr) trace->set_prefix("frame2.");
    encode(job.to, *job.plan, trace);
  }
  for (const Source* source : {&job.from, &job.to}) {
    if (source->frame && source->slot->pyramid) ops_->image_pyramid(*source->frame, source->slot->pyramid->levels());
  }
  if (trace != nullptr) trace->set_prefix("head.");
  // The forward flow comes last, because the refinement rates the flow that it found last.
  const bool both = static_cast<bool>(job.backward);
  if (both) find_flow(job, *job.to.slot, *job.from.slot, false, job.backward, {}, nullptr);
  if (job.flow) find_flow(job, *job.from.slot, *job.to.slot, both, job.flow, job.similarity, trace);
  if (job.rates) {
    const RealMatrix flow = job.refined ? job.refined : job.flow;
    const RealMatrix back = job.refined ? RealMatrix{} : job.backward;  // of another size than `refined`
    refiner_.rate(*job.from.slot->pyramid, *job.to.slot->pyramid, flow, back, job.refine_plan->buffers, job.confidence,
                  trace);
  }
  const RealMatrix confidence = job.rates ? RealMatrix{} : job.confidence;
  if (job.occlusion || confidence) ops_->round_trip(job.flow, job.backward, job.occlusion, confidence);
  if (job.picture) ops_->color_flow(job.flow, job.colors, job.picture);
}

}  // namespace flow

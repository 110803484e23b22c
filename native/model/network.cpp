#include "model/network.h"

#include <algorithm>
#include <bit>

#include "ops/error.h"

namespace flow {

namespace {

/// Sizes whose buffers are kept. A service that mixes a few sizes then allocates nothing, and one that sees any size
/// stays bounded.
constexpr std::size_t kept_plans = 3;

/// Tells the results of one request apart.
enum OutputSlot : int { flow_output, picture_output };

/// Writes a SequenceKey, part by part.
class Key {
 public:
  Key& add(std::uint64_t part) {
    key_.at(used_++) = part;
    return *this;
  }
  Key& add(const std::optional<Frame>& f) {
    if (!f) return add(std::uint64_t{0});
    return add((static_cast<std::uint64_t>(f->format) + 1) << 60 | static_cast<std::uint64_t>(f->height) << 30 |
               static_cast<std::uint64_t>(f->width));
  }
  Key& add(const FeatureSlotPtr& slot) { return add(slot ? slot->number : 0); }
  Key& add(double number) { return add(std::bit_cast<std::uint64_t>(number)); }
  const SequenceKey& key() const { return key_; }

 private:
  SequenceKey key_{};
  std::size_t used_ = 0;
};

}  // namespace

Network::Network(std::unique_ptr<Ops> ops, const BackboneConfig& backbone, const HeadConfig& head,
                 WeightSource& backbone_weights, WeightSource& head_weights)
    : ops_(std::move(ops)),
      backbone_config_(backbone),
      vit_(*ops_, backbone, backbone_weights),
      head_(*ops_, head, backbone.dim, head_weights),
      features_(*ops_, backbone.dim) {}

void Network::run(const Request& request) {
  const Job job = place(request);
  if (request.trace != nullptr) {
    compute(job, request.trace);  // a trace reads in between, which no recording can
  } else if (job.plan != nullptr) {
    Key key;
    key.add(job.plan->id).add(job.from.frame).add(job.from.slot).add(job.to.frame).add(job.to.slot);
    key.add(std::uint64_t{!request.flow.empty()} | std::uint64_t{!request.picture.empty()} << 1).add(scratches_made_);
    key.add(static_cast<std::uint64_t>(request.height)).add(static_cast<std::uint64_t>(request.width));
    key.add(job.colors.scale).add(job.colors.clip_max).add(job.colors.clip_min);
    const auto calls = [&] { compute(job, nullptr); };
    ops_->sequence(key.key(), std::cref(calls));  // by reference: std::function would allocate for a copy
  }
  ops_->finish();
  if (!request.features.empty()) ops_->read(job.from.slot->matrix, request.features);
  if (request.keep_from != 0) features_.keep(request.keep_from, job.from.slot);
  if (request.keep_to != 0) features_.keep(request.keep_to, job.to.slot);
}

// ---- from a request to places in the engine's memory ----------------------------------------------------------------

Grid Network::grid_of(const Request& request) const {
  const auto* kept = std::get_if<FeatureId>(&request.from);
  return kept != nullptr ? features_.find(*kept)->grid : request.grid;
}

Network::Plan& Network::plan(Grid grid) {
  const auto known = std::ranges::find_if(plans_, [&](const auto& p) { return p->vit.grid == grid; });
  if (known != plans_.end()) {
    std::rotate(plans_.begin(), known, known + 1);
    return *plans_.front();
  }
  if (plans_.size() == kept_plans) plans_.pop_back();
  auto fresh = std::make_unique<Plan>(Plan{++plans_made_, vit_.plan(grid), head_.plan(grid), {}, {}});
  fresh->from = features_.take(grid);
  fresh->to = features_.take(grid);
  return **plans_.insert(plans_.begin(), std::move(fresh));
}

Network::Source Network::source(const Input& input, FeatureId keep, Grid grid, const FeatureSlotPtr& unkept,
                                int staging_slot) {
  if (const auto* kept = std::get_if<FeatureId>(&input)) {
    const FeatureSlotPtr& features = features_.find(*kept);
    if (features->grid != grid) throw Error(ErrorCode::argument, "the two feature maps are of different sizes");
    return {features, {}};
  }
  const auto* frame = std::get_if<Frame>(&input);
  if (frame == nullptr) return {};
  const int patch = backbone_config_.patch;
  return {keep == 0 ? unkept : features_.take(grid),
          ops_->stage(*frame, staging_slot, grid.height * patch, grid.width * patch)};
}

Network::Job Network::place(const Request& request) {
  const Grid grid = grid_of(request);
  const auto is_frame = [](const Input& input) { return std::holds_alternative<Frame>(input); };
  Job job;
  if (is_frame(request.from) || is_frame(request.to) || request.wants_head()) job.plan = &plan(grid);
  job.from = source(request.from, request.keep_from, grid, job.plan == nullptr ? nullptr : job.plan->from, 0);
  job.to = source(request.to, request.keep_to, grid, job.plan == nullptr ? nullptr : job.plan->to, 1);
  if (!job.from.slot || (request.wants_head() && !job.to.slot)) {
    throw Error(ErrorCode::argument, "flow needs two frames or feature maps");
  }
  const std::size_t values = static_cast<std::size_t>(grid.size()) * static_cast<std::size_t>(backbone_config_.dim);
  if (!request.features.empty() && request.features.size() != values) {
    throw Error(ErrorCode::argument, "the output has another length than the features");
  }
  const int height = request.height, width = request.width;
  if (!request.flow.empty()) job.flow = ops_->output(request.flow, flow_output, 2 * height, width);
  if (!request.picture.empty()) {
    job.picture = ops_->output(request.picture, picture_output, height, 3 * width);
    job.colors = request.colors;
    if (!job.flow) job.flow = scratch_flow(height, width);
  }
  return job;
}

RealMatrix Network::scratch_flow(int height, int width) {
  const int stride = ops_->stride(width);
  const std::size_t bytes = sizeof(float) * 2 * static_cast<std::size_t>(height) * static_cast<std::size_t>(stride);
  if (bytes > scratch_bytes_) {
    scratch_bytes_ = 0;
    scratch_.reset();
    scratch_ = ops_->allocate(bytes);
    scratch_bytes_ = bytes;
    scratches_made_++;
  }
  return {scratch_->data(), 2 * height, width, stride};
}

// ---- the computation ------------------------------------------------------------------------------------------------

void Network::encode(const Source& source, Plan& plan, Trace* trace, const char* name) const {
  if (!source.frame) return;
  if (trace != nullptr) trace->set_prefix(name);
  vit_.run(*source.frame, plan.vit, source.slot->matrix, trace);
}

void Network::compute(const Job& job, Trace* trace) const {
  encode(job.from, *job.plan, trace, "frame1.");
  encode(job.to, *job.plan, trace, "frame2.");
  if (trace != nullptr) trace->set_prefix("head.");
  if (job.flow) head_.run(job.from.slot->matrix, job.to.slot->matrix, job.plan->head, job.flow, trace);
  if (job.picture) ops_->color_flow(job.flow, job.colors, job.picture);
}

}  // namespace flow

#include "model/network.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "ops/error.h"

namespace flow {

namespace {
/// Sizes whose buffers are kept: a service that mixes a few sizes allocates nothing, one that sees any size stays
/// bounded.
constexpr std::size_t kept_plans = 3;
/// Feature maps kept for the next frames of a stream.
constexpr std::size_t kept_features = 4;

bool same(Grid a, Grid b) { return a.height == b.height && a.width == b.width; }

/// Writes a SequenceKey, part by part.
class Key {
 public:
  Key(std::uint64_t kind, std::uint64_t plan) { add(kind), add(plan); }
  Key& add(std::uint64_t part) {
    key_.at(used_++) = part;
    return *this;
  }
  Key& add(RealMatrix m) {
    return add(reinterpret_cast<std::uintptr_t>(m.data)).add(static_cast<std::uint64_t>(m.rows)).add(m.cols);
  }
  Key& add(const Frame& f) {
    return add(reinterpret_cast<std::uintptr_t>(f.data))
        .add(static_cast<std::uint64_t>(f.stride))
        .add(static_cast<std::uint64_t>(f.format) << 60 | static_cast<std::uint64_t>(f.height) << 30 |
             static_cast<std::uint64_t>(f.width));
  }
  /// No picture has an address of its own, too.
  Key& add(ByteMatrix picture, const FlowColors& colors) {
    return add(reinterpret_cast<std::uintptr_t>(picture.data))
        .add(std::bit_cast<std::uint64_t>(colors.scale))
        .add(std::bit_cast<std::uint64_t>(colors.clip_max))
        .add(std::bit_cast<std::uint64_t>(colors.clip_min));
  }
  const SequenceKey& key() const { return key_; }

 private:
  SequenceKey key_{};
  std::size_t used_ = 0;
};
enum : std::uint64_t { encode_sequence, head_sequence, flow_sequence, stream_sequence };

void check_same(const Features& a, const Features& b) {
  if (!same(a.grid, b.grid)) throw Error(ErrorCode::argument, "the two feature maps are of different sizes");
}
}  // namespace

Network::Network(std::unique_ptr<Ops> ops, const BackboneConfig& backbone, const HeadConfig& head,
                 WeightSource& backbone_weights, WeightSource& head_weights)
    : ops_(std::move(ops)),
      backbone_config_(backbone),
      vit_(*ops_, backbone, backbone_weights),
      head_(*ops_, head, backbone.dim, head_weights) {}

std::unique_ptr<Features> Network::take_features(Grid grid) {
  const auto fits = std::ranges::find_if(spare_, [&](const auto& f) { return same(f->grid, grid); });
  if (fits != spare_.end()) {
    auto features = std::move(*fits);
    spare_.erase(fits);
    return features;
  }
  auto features = std::make_unique<Features>();
  const int stride = ops_->stride(backbone_config_.dim);
  features->grid = grid;
  features->memory = ops_->allocate(sizeof(float) * static_cast<std::size_t>(grid.size()) * stride);
  features->matrix = {features->memory->data(), grid.size(), backbone_config_.dim, stride};
  return features;
}

void Network::give_back(std::unique_ptr<Features> features) {
  if (spare_.size() == kept_features) spare_.erase(spare_.begin());
  spare_.push_back(std::move(features));
}

Network::Plan& Network::plan(Grid grid) {
  const auto known = std::ranges::find_if(plans_, [&](const auto& p) { return same(p->vit.grid, grid); });
  if (known != plans_.end()) {
    std::rotate(plans_.begin(), known, known + 1);
    return *plans_.front();
  }
  if (plans_.size() == kept_plans) plans_.pop_back();
  auto fresh = std::make_unique<Plan>(
      Plan{plans_made_++, vit_.plan(grid), head_.plan(grid), take_features(grid), take_features(grid)});
  return **plans_.insert(plans_.begin(), std::move(fresh));
}

Frame Network::stage(const Frame& frame, int slot, Grid grid) {
  return ops_->stage(frame, slot, grid.height * backbone_config_.patch, grid.width * backbone_config_.patch);
}

void Network::encode(const Frame& frame, Features& features, Trace* trace) {
  Plan& p = plan(features.grid);
  const Frame staged = stage(frame, 0, features.grid);
  const auto calls = [&] { vit_.run(staged, p.vit, features.matrix, trace); };
  run(Key(encode_sequence, p.id).add(staged).add(features.matrix).key(), calls, trace);
}

void Network::flow(const Features& a, const Features& b, std::span<float> out, int height, int width, Trace* trace) {
  run_features(a, b, flow_result(out, height, width), trace);
}

void Network::flow(const Frame& a, const Frame& b, Grid grid, std::span<float> out, int height, int width,
                   Trace* trace) {
  run_frames(a, b, grid, flow_result(out, height, width), trace);
}

void Network::advance(const Features& before, const Frame& frame, Features& now, std::span<float> out, int height,
                      int width) {
  check_same(before, now);
  Plan& p = plan(now.grid);
  const Result result = flow_result(out, height, width);
  const Frame staged = stage(frame, 0, now.grid);
  const auto calls = [&] {
    vit_.run(staged, p.vit, now.matrix, nullptr);
    run_head(before, now, p, result, nullptr);
  };
  Key key(stream_sequence, p.id);
  key.add(staged).add(before.matrix).add(now.matrix).add(result.flow);
  run(key.key(), calls, nullptr);
}

void Network::picture(const Features& a, const Features& b, std::span<std::uint8_t> out, int height, int width,
                      const FlowColors& colors) {
  run_features(a, b, picture_result(a.grid, out, height, width, colors), nullptr);
}

void Network::picture(const Frame& a, const Frame& b, Grid grid, std::span<std::uint8_t> out, int height, int width,
                      const FlowColors& colors) {
  run_frames(a, b, grid, picture_result(grid, out, height, width, colors), nullptr);
}

Network::Result Network::flow_result(std::span<float> out, int height, int width) {
  return {ops_->output(out, 2 * height, width)};
}

/// The flow is left where the head puts it or, at another size, in memory that all sizes share.
Network::Result Network::picture_result(Grid grid, std::span<std::uint8_t> out, int height, int width,
                                        const FlowColors& colors) {
  RealMatrix flow = plan(grid).head.upsampled;
  if (flow.rows != 2 * height || flow.cols != width) {
    const int stride = ops_->stride(width);
    const std::size_t bytes = sizeof(float) * 2 * static_cast<std::size_t>(height) * static_cast<std::size_t>(stride);
    if (bytes > resized_bytes_) {
      resized_bytes_ = 0;
      resized_.reset();
      resized_ = ops_->allocate(bytes);
      resized_bytes_ = bytes;
    }
    flow = {resized_->data(), 2 * height, width, stride};
  }
  return {flow, ops_->output(out, height, 3 * width), colors};
}

void Network::run_features(const Features& a, const Features& b, const Result& result, Trace* trace) {
  check_same(a, b);
  Plan& p = plan(a.grid);
  const auto calls = [&] { run_head(a, b, p, result, trace); };
  Key key(head_sequence, p.id);
  key.add(a.matrix).add(b.matrix).add(result.flow).add(result.picture, result.colors);
  run(key.key(), calls, trace);
}

void Network::run_frames(const Frame& a, const Frame& b, Grid grid, const Result& result, Trace* trace) {
  Plan& p = plan(grid);
  const Frame staged_a = stage(a, 0, grid), staged_b = stage(b, 1, grid);
  const auto calls = [&] {
    if (trace) trace->set_prefix("frame1.");
    vit_.run(staged_a, p.vit, p.a->matrix, trace);
    if (trace) trace->set_prefix("frame2.");
    vit_.run(staged_b, p.vit, p.b->matrix, trace);
    if (trace) trace->set_prefix("head.");
    run_head(*p.a, *p.b, p, result, trace);
  };
  Key key(flow_sequence, p.id);
  key.add(staged_a).add(staged_b).add(result.flow).add(result.picture, result.colors);
  run(key.key(), calls, trace);
}

void Network::run_head(const Features& a, const Features& b, Plan& plan, const Result& result, Trace* trace) const {
  head_.run(a.matrix, b.matrix, plan.head, result.flow, trace);
  if (result.picture) ops_->color_flow(result.flow, result.colors, result.picture);
}

template <class Calls>
void Network::run(const SequenceKey& key, const Calls& calls, const Trace* trace) {
  if (trace) {
    calls();  // a trace reads in between, which no recording can
  } else {
    ops_->sequence(key, std::cref(calls));  // by reference: std::function would allocate for a copy
  }
  ops_->finish();
}

}  // namespace flow

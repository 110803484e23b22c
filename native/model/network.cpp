#include "model/network.h"

#include <algorithm>

#include "ops/error.h"

namespace flow {

namespace {
/// Sizes whose buffers are kept: a service that mixes a few sizes allocates nothing, one that sees any size stays
/// bounded.
constexpr std::size_t kept_plans = 3;
/// Feature maps kept for the next frames of a stream.
constexpr std::size_t kept_features = 4;

bool same(Grid a, Grid b) { return a.height == b.height && a.width == b.width; }
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
  auto fresh =
      std::make_unique<Plan>(Plan{vit_.plan(grid), head_.plan(grid), take_features(grid), take_features(grid)});
  return **plans_.insert(plans_.begin(), std::move(fresh));
}

void Network::encode(const Frame& frame, Features& features, Trace* trace) {
  vit_.run(frame, plan(features.grid).vit, features.matrix, trace);
  ops_->finish();
}

void Network::flow(const Features& a, const Features& b, std::span<float> out, int height, int width, Trace* trace) {
  if (!same(a.grid, b.grid)) throw Error(ErrorCode::argument, "the two feature maps are of different sizes");
  head_.run(a.matrix, b.matrix, plan(a.grid).head, ops_->output(out, 2 * height, width), trace);
  ops_->finish();
}

void Network::flow(const Frame& a, const Frame& b, Grid grid, std::span<float> out, int height, int width,
                   Trace* trace) {
  Plan& p = plan(grid);
  if (trace) trace->set_prefix("frame1.");
  vit_.run(a, p.vit, p.a->matrix, trace);
  if (trace) trace->set_prefix("frame2.");
  vit_.run(b, p.vit, p.b->matrix, trace);
  if (trace) trace->set_prefix("head.");
  flow(*p.a, *p.b, out, height, width, trace);
}

}  // namespace flow

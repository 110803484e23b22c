#include "addon/session.h"

#include "ops/error.h"

namespace flow::addon {

void Session::open(const ModelConfig& config, FileWeights& backbone, FileWeights& head,
                   const std::function<void()>& on_restart) {
  if (network_) throw Error(ErrorCode::native, "the model is loaded already");
  const auto make_network = [&](OpenEngine open) {
    engine_ = std::move(open.engine);
    gpu_unused_ = std::move(open.gpu_unused);
    network_ = std::make_unique<Network>(std::move(open.ops), config.backbone, config.head, backbone, head);
  };
  try {
    make_network(open_engine(config.engine));
  } catch (const Error& error) {
    const bool gpu_is_full = engine_ && engine_->describe().gpu && error.code() == ErrorCode::out_of_memory;
    if (!gpu_is_full || !config.engine.may_use_cpu()) throw;
    on_restart();
    make_network(open_cpu_engine(config.engine, error.what()));
  }
}

void Session::close() {
  features_.clear();  // before the engine whose memory they are
  network_.reset();
}

Network& Session::network() {
  if (!network_) throw Error(ErrorCode::native, "the model is not loaded");
  return *network_;
}

FeatureId Session::encode(const Frame& frame, Grid grid) {
  auto features = network().take_features(grid);
  network().encode(frame, *features);
  return keep(std::move(features));
}

FeatureId Session::advance(FeatureId before, const Frame& frame, std::span<float> out, int height, int width) {
  const Features& from = features(before);
  auto now = network().take_features(from.grid);
  network().advance(from, frame, *now, out, height, width);
  return keep(std::move(now));
}

FeatureId Session::keep(std::unique_ptr<Features> features) {
  const FeatureId id = next_id_++;
  features_.emplace(id, std::move(features));
  return id;
}

const Features& Session::features(FeatureId id) const {
  const auto found = features_.find(id);
  if (found == features_.end()) throw Error(ErrorCode::disposed, "the feature map was disposed");
  return *found->second;
}

void Session::release(FeatureId id) {
  const auto found = features_.find(id);
  if (found == features_.end()) return;
  network().give_back(std::move(found->second));
  features_.erase(found);
}

}  // namespace flow::addon

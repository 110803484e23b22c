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
  weight_bytes_ = backbone.float_bytes() + head.float_bytes();
  count_bytes();
}

void Session::close() {
  network_.reset();
  engine_.reset();
  held_bytes_ = 0;
}

Outcome Session::run(const Request& request, const std::function<bool()>& while_computing) {
  Outcome outcome = network().run(request, while_computing);
  count_bytes();
  return outcome;
}

void Session::release(FeatureId id) {
  if (!network_) return;
  network_->release(id);
  count_bytes();
}

Network& Session::network() {
  if (!network_) throw Error(ErrorCode::native, "the model is not loaded");
  return *network_;
}

}  // namespace flow::addon

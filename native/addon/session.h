#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "engine/open.h"
#include "model/network.h"
#include "weights/file_weights.h"

namespace flow::addon {

/// Names a feature map of a model; never used twice.
using FeatureId = std::uint64_t;

/// What a model is made from.
struct ModelConfig {
  BackboneConfig backbone;
  HeadConfig head;
  Manifest backbone_weights;
  Manifest head_weights;
  EngineChoice engine;
};

/// The network and everything in its engine's memory. Made, used and destroyed on the model's thread: an
/// engine may be bound to it.
class Session {
 public:
  /// `on_restart` is called where the weights did not fit the GPU that was chosen here, before they are read again for
  /// the CPU.
  void open(const ModelConfig& config, FileWeights& backbone, FileWeights& head,
            const std::function<void()>& on_restart);
  /// Frees everything; every feature map with it. May be called twice.
  void close();

  Network& network();
  const EnginePtr& engine() const { return engine_; }
  const std::string& gpu_unused() const { return gpu_unused_; }

  FeatureId encode(const Frame& frame, Grid grid);
  /// The features of the frame after `before`, and the flow between them.
  FeatureId advance(FeatureId before, const Frame& frame, std::span<float> out, int height, int width);
  /// Throws Error(disposed) for an id that was given back.
  const Features& features(FeatureId id) const;
  void release(FeatureId id);

 private:
  FeatureId keep(std::unique_ptr<Features> features);

  std::unique_ptr<Network> network_;
  std::unordered_map<FeatureId, std::unique_ptr<Features>> features_;
  FeatureId next_id_ = 1;
  EnginePtr engine_;
  std::string gpu_unused_;
};

}  // namespace flow::addon

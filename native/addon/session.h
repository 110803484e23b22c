#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "engine/open.h"
#include "model/network.h"
#include "weights/file_weights.h"

namespace flow::addon {

/// Everything that a model is made from.
struct ModelConfig {
  BackboneConfig backbone;
  HeadConfig head;
  Manifest backbone_weights;
  Manifest head_weights;
  EngineChoice engine;
};

/// The network and its engine. For one thread at a time: the model's, or JavaScript's while the model's thread is idle.
class Session {
 public:
  /// If the weights do not fit the GPU and the CPU may be used instead, calls `on_restart` and reads them again for the
  /// CPU.
  void open(const ModelConfig& config, FileWeights& backbone, FileWeights& head,
            const std::function<void()>& on_restart);
  /// Frees everything. May be called twice.
  void close();

  /// As the functions of Network. All but `release` throw Error(native) unless the session is open.
  Outcome run(const Request& request, const std::function<bool()>& while_computing);
  void deliver() { network().deliver(); }
  void stage_ahead(const Request& request) { network().stage_ahead(request); }
  void withdraw() { network().withdraw(); }
  void release(FeatureId id);
  void copy(const RowCopy& rows, const OtherStreams& streams) { network().copy(rows, streams); }
  /// On JavaScript's thread, between `open` and `close`.
  FeatureMemory features(FeatureId id) { return network().features(id); }
  /// As the functions of Network. They throw Error(native) unless the session is open.
  BackboneCompiler::Info describe_compiler() { return network().describe_compiler(); }
  BackboneCompiler& compiler() { return network().compiler(); }
  BackboneTrial use_plan(Grid grid, std::span<const std::byte> plan, bool only_if_faster) {
    return network().use_plan(grid, plan, only_if_faster);
  }
  /// Bytes of the weights and of the features that the network keeps, as float32. Any thread.
  std::size_t held_bytes() const { return held_bytes_; }

  Numerics numerics() { return network().numerics(); }
  const EnginePtr& engine() const { return engine_; }
  /// Reason if `device: 'auto'` fell back to the CPU.
  const std::string& gpu_unused() const { return gpu_unused_; }

 private:
  /// Throws Error(native) before `open` and after `close`.
  Network& network();
  void count_bytes() { held_bytes_ = weight_bytes_ + network().kept_feature_bytes(); }

  std::unique_ptr<Network> network_;
  EnginePtr engine_;
  std::string gpu_unused_;
  std::size_t weight_bytes_ = 0;
  std::atomic<std::size_t> held_bytes_{0};
};

}  // namespace flow::addon

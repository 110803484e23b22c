#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/flow_head.h"
#include "model/vit.h"

namespace flow {

/// Features of one frame (N x dim, float32) in the engine's memory.
struct Features {
  Grid grid;
  RealMatrix matrix;
  std::unique_ptr<Memory> memory;
};

/// Backbone and head on one engine, with what they need per input size. One thread at a time.
class Network {
 public:
  Network(std::unique_ptr<Ops> ops, const BackboneConfig& backbone, const HeadConfig& head,
          WeightSource& backbone_weights, WeightSource& head_weights);

  /// Room for the features of a `grid`: new, or what `give_back` returned.
  std::unique_ptr<Features> take_features(Grid grid);
  void give_back(std::unique_ptr<Features> features);
  void read_features(const Features& features, std::span<float> host) { ops_->read(features.matrix, host); }

  void encode(const Frame& frame, Features& features, Trace* trace = nullptr);
  /// out: 2 * height * width, planar, in pixels of a map of height x width.
  void flow(const Features& a, const Features& b, std::span<float> out, int height, int width, Trace* trace = nullptr);
  /// Both frames, then the flow between them; the features stay in the network's own memory.
  void flow(const Frame& a, const Frame& b, Grid grid, std::span<float> out, int height, int width,
            Trace* trace = nullptr);
  /// The next frame of a stream: its features to `now`, and the flow from the frame of `before` to it, in one sequence.
  void advance(const Features& before, const Frame& frame, Features& now, std::span<float> out, int height, int width);
  /// As `flow`, but out (3 * height * width: rows of red, green, blue) is its picture, and the flow stays in the
  /// engine's memory.
  void picture(const Features& a, const Features& b, std::span<std::uint8_t> out, int height, int width,
               const FlowColors& colors);
  void picture(const Frame& a, const Frame& b, Grid grid, std::span<std::uint8_t> out, int height, int width,
               const FlowColors& colors);

 private:
  struct Plan {
    std::uint64_t id;  // never used again, so that no other plan is taken for this one
    Vit::Plan vit;
    FlowHead::Plan head;
    std::unique_ptr<Features> a, b;
  };
  /// What the head is asked for: a flow and, where there is one, a picture of it.
  struct Result {
    RealMatrix flow;
    ByteMatrix picture = {};
    FlowColors colors = {};
  };
  Plan& plan(Grid grid);
  Frame stage(const Frame& frame, int slot, Grid grid);
  Result flow_result(std::span<float> out, int height, int width);
  Result picture_result(Grid grid, std::span<std::uint8_t> out, int height, int width, const FlowColors& colors);
  void run_frames(const Frame& a, const Frame& b, Grid grid, const Result& result, Trace* trace);
  void run_features(const Features& a, const Features& b, const Result& result, Trace* trace);
  void run_head(const Features& a, const Features& b, Plan& plan, const Result& result, Trace* trace) const;
  template <class Calls>
  void run(const SequenceKey& key, const Calls& calls, const Trace* trace);

  std::unique_ptr<Ops> ops_;
  BackboneConfig backbone_config_;
  Vit vit_;
  FlowHead head_;
  std::uint64_t plans_made_ = 0;
  std::vector<std::unique_ptr<Plan>> plans_;  // the sizes used last, most recent first
  std::vector<std::unique_ptr<Features>> spare_;
  std::unique_ptr<Memory> resized_;  // a flow that only its picture is wanted of; grows with the largest
  std::size_t resized_bytes_ = 0;
};

}  // namespace flow

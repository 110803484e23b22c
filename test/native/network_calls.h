#pragma once

#include <optional>
#include <vector>

#include "model/network.h"

namespace flow {

/// The usual requests of a network as functions, for tests and benchmarks. If `refine` is given, flows are refined, at
/// the size of the frames.
class NetworkCalls {
 public:
  explicit NetworkCalls(Network& network, std::optional<Refinement> refine = {}) : network_(network), refine_(refine) {}

  /// Keeps the features of a frame; returns their name.
  FeatureId encode(const Frame& frame, Grid grid) {
    network_.run({.from = frame,
                  .grid = grid,
                  .keep_from = ++last_id_,
                  .refine = refine_,
                  .height = refine_ ? frame.height : 0,
                  .width = refine_ ? frame.width : 0});
    return last_id_;
  }
  /// out: 2 * height * width values.
  void flow(const Input& from, const Input& to, Grid grid, std::vector<float>& out, int height, int width,
            Trace* trace = nullptr) {
    network_.run({.from = from,
                  .to = to,
                  .grid = grid,
                  .refine = refine_,
                  .height = height,
                  .width = width,
                  .flow = out,
                  .trace = trace});
  }
  /// The flow to the frame after `before`; returns the name of that frame's features, and releases `before`.
  FeatureId advance(FeatureId before, const Frame& frame, Grid grid, std::vector<float>& out, int height, int width) {
    network_.run({.from = before,
                  .to = frame,
                  .grid = grid,
                  .keep_to = ++last_id_,
                  .refine = refine_,
                  .height = height,
                  .width = width,
                  .flow = out});
    network_.release(before);
    return last_id_;
  }
  std::vector<float> features(FeatureId id, Grid grid, int dim) {
    std::vector<float> values(static_cast<std::size_t>(grid.size()) * static_cast<std::size_t>(dim));
    network_.run({.from = id, .features = values});
    return values;
  }

 private:
  Network& network_;
  std::optional<Refinement> refine_;
  FeatureId last_id_ = 0;
};

}  // namespace flow

#pragma once

#include <cstdint>
#include <span>
#include <variant>

#include "model/trace.h"
#include "ops/ops.h"

namespace flow {

/// Names the features of a frame that a network keeps. The caller chooses the name, and never chooses it again; 0 names
/// none.
using FeatureId = std::uint64_t;

/// A frame for the backbone, or features that it computed before.
using Input = std::variant<std::monostate, Frame, FeatureId>;

/// One call of a network as data: its inputs, and the memory for its results. An empty result is not computed. Results
/// are maps of height x width pixels, and flow is in those pixels.
struct Request {
  Input from = {};
  Input to = {};   // none: features of `from`, and no flow
  Grid grid = {};  // patches that frames are cut into; features that go with a frame have the same grid

  std::uint64_t number = 0;  // of no other request, so that its frames can be staged ahead; 0: staged when it runs

  FeatureId keep_from = 0;  // the features of a frame are kept under this name
  FeatureId keep_to = 0;

  /// Notices a `to` that is byte for byte the frame of `from`: nothing is computed then, flow is 0, nothing is hidden,
  /// and `keep_to` names the same features. `from` must be features that were kept by a request with this flag.
  bool skip_duplicate = false;

  int height = 0;
  int width = 0;
  std::span<float> flow = {};              // 2 * height * width: all x, then all y; from `from` to `to`
  std::span<float> backward = {};          // as `flow`, from `to` to `from`
  std::span<std::uint8_t> occlusion = {};  // height * width: 1 where a pixel of `from` is hidden in `to`, else 0
  std::span<float> confidence = {};        // height * width: 0 to 1, in `flow` at a pixel of `from`
  std::span<std::uint8_t> picture = {};    // 3 * height * width: `flow` in colours, red, green and blue interleaved
  FlowColors colors = {};                  // of `picture`
  std::span<float> similarity = {};        // 1: how well the features of `from` are found in `to`, -1 to 1
  std::span<float> features = {};          // N x dim: the features of `from`
  Trace* trace = nullptr;                  // intermediate results, for tests

  bool wants_backward() const { return !backward.empty() || !occlusion.empty() || !confidence.empty(); }
  bool wants_forward() const {
    return !flow.empty() || !occlusion.empty() || !confidence.empty() || !picture.empty() || !similarity.empty();
  }
};

/// How a request was answered.
struct Outcome {
  bool duplicate = false;  // by skip_duplicate
};

}  // namespace flow

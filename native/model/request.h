#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "model/numerics.h"
#include "model/refiner.h"
#include "model/trace.h"
#include "ops/ops.h"

namespace flow {

/// The name of a frame's features, which a network keeps. The caller chooses it, and never uses a name twice. 0 is no
/// name.
using FeatureId = std::uint64_t;

/// A frame for the backbone, or features that it computed before.
using Input = std::variant<std::monostate, Frame, FeatureId>;

/// One call of a network as data: its inputs, and the memory for its results. An empty result is not computed. Results
/// are maps of height x width pixels, and flow is in those pixels.
struct Request {
  Input from = {};
  Input to = {};   // none: features of `from`, and no flow
  Grid grid = {};  // patches of a frame; features in a request with a frame have the same grid

  std::uint64_t number = 0;  // unique, so that frames can be staged ahead; 0: they are staged when it runs

  FeatureId keep_from = 0;  // the name for the features of `from`; 0: they are not kept
  FeatureId keep_to = 0;

  /// If `to` is byte for byte the frame of `from`, nothing is computed: flow is 0, nothing is hidden, and `keep_to`
  /// names the same features. This needs features as `from`, kept by a request with this flag.
  bool skip_duplicate = false;

  /// Every flow is refined by the pixels of the frames, and features that are kept keep the pixels, too. They are kept
  /// at the size of the results; features as `from` say at which size theirs are.
  std::optional<Refinement> refine = {};

  int height = 0;
  int width = 0;
  std::span<float> flow = {};              // 2 * height * width: all x, then all y; from `from` to `to`
  std::span<float> backward = {};          // as `flow`, from `to` to `from`
  std::span<std::uint8_t> occlusion = {};  // height * width: 1 where a pixel of `from` is hidden in `to`, else 0
  /// height * width: 0 to 1, for the flow at each pixel of `from`: of a refined flow the probability that it is right
  /// to 1 px, of any other that of round_trip.
  std::span<float> confidence = {};
  std::span<std::uint8_t> picture = {};  // 3 * height * width: `flow` in colours, red, green and blue interleaved
  FlowColors colors = {};                // of `picture`
  std::span<float> similarity = {};      // 1: how well the features of `from` are found in `to`, -1 to 1
  std::span<float> features = {};        // N x dim: the features of `from`
  /// Streams of other code that use memory of this request. Its work begins when their points are reached, and what
  /// they get once it is queued begins when it is done.
  OtherStreams streams = {};
  Trace* trace = nullptr;  // intermediate results, for tests

  bool wants_forward() const {
    return !flow.empty() || !occlusion.empty() || !confidence.empty() || !picture.empty() || !similarity.empty();
  }
};

/// How a request was answered.
struct Outcome {
  bool duplicate = false;                 // skip_duplicate answered it
  bool sending = false;                   // results are still on their way: they are there after Network::deliver
  std::optional<Numerics> numerics = {};  // if they have changed since the outcome before
};

}  // namespace flow

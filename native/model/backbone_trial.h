#pragma once

#include <array>
#include <string>

#include "model/vit.h"

namespace flow {

/// What came of a compiled backbone when it was run beside the engine's own stages.
struct BackboneTrial {
  std::array<double, 2> cosines;  // between the features of both: of a picture, of noise; NaN if one is not finite
  double kernels_milliseconds;    // of one frame, the median of several
  double compiled_milliseconds;
  bool used = false;
  std::string reason = {};  // why it is not used
};

/// Below this cosine, features are not the network's. Half precision alone gives 0.9999 and more.
constexpr double trusted_cosine = 0.9995;

/// Runs a picture and noise through both, and measures both as they run on frames: recorded, on memory that stays.
/// `features` is overwritten. `number` is one that no other sequence has in its key.
BackboneTrial try_backbone(Ops& ops, const Vit& vit, Vit::Plan& plan, int patch, RealMatrix features,
                           CompiledBackbone& backbone, std::uint64_t number);

/// Decides `used`: whether it is right, and, if it must be, faster. `name` is that of the library.
void judge(BackboneTrial& trial, const std::string& name, bool only_if_faster);

}  // namespace flow

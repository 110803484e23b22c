#pragma once

#include <span>

#include "model/refiner.h"

namespace flow {

/// Refines a pair as the network does: 'best' finds the flow back first. That one begins with the same starts, though
/// they lead the wrong way, so that only the pixels can tell.
inline void refine_pair(const Refiner& refiner, const FramePyramid& from, const FramePyramid& to,
                        std::span<const Refiner::Start> starts, const RefineOptions& options, Refiner::Plan& plan,
                        RealMatrix out) {
  if (options.both_ways) refiner.run_back(to, from, starts, options, plan);
  refiner.run(from, to, starts, options, plan, out);
}

}  // namespace flow

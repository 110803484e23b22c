#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace flow::cpu {

/// One row of Ops::round_trip. `occlusion` and `confidence` may be null.
void round_trip_row(RealMatrix forward, RealMatrix backward, int row, std::uint8_t* occlusion, float* confidence);

/// One row of RefineStages::check_return.
void check_return_row(RealMatrix flow, RealMatrix back, float scale, int row, RealMatrix sure);

}  // namespace flow::cpu

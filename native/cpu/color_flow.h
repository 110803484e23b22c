#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace flow::cpu {

/// The length of the longest motion of a row whose length is a number; 0 where there is none.
double longest_motion(const float* x, const float* y, int width);

/// `rgb` (3 * width) = the colours of a row. `unit`, in pixels, gets the full colour.
void color_row(const float* x, const float* y, int width, double unit, const FlowColors& colors, std::uint8_t* rgb);

}  // namespace flow::cpu

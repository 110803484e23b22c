#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace flow::cpu {

/// The length of a row's longest motion, in pixels, without lengths that are not finite; 0 if there is none.
double longest_motion(const float* x, const float* y, int width);

/// `rgb` (3 * width bytes) = the colours of a row. A motion of `unit` pixels gets the full colour.
void color_row(const float* x, const float* y, int width, double unit, const FlowColors& colors, std::uint8_t* rgb);

}  // namespace flow::cpu

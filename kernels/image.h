#pragma once

// One level of a frame's pyramid, as kernels take it.

namespace flow::kernels {

/// Planes of height x width pixels, each with `border` pixels around it that repeat its edge. Level 0 has luma, the
/// others R, G, B and luma.
struct ImageView {
  static constexpr int border = 16;

  float* planes;  // each of height + 2 * border rows
  int height, width;
  int stride;
};

}  // namespace flow::kernels

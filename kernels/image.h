#pragma once

// One level of a frame's pyramid, as kernels take it.

namespace flow::kernels {

/// A position plus this, rounded down, is its pixel, where one is needed. It is not 1/2, because motions of whole and
/// half pixels are common, and rounding errors would decide where those lead.
constexpr float nearest_pixel = 0.6F;

/// Planes of height x width pixels, each with `border` pixels around it that repeat its edge. Level 0 has luma, the
/// others R, G, B and luma.
struct ImageView {
  static constexpr int border = 16;

  float* planes;  // each of height + 2 * border rows
  int height, width;
  int stride;
};

}  // namespace flow::kernels

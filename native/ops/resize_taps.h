#pragma once

#include <span>

namespace flow {

/// The two source pixels of a resized pixel along one axis, and their weights. As OpenCV's INTER_LINEAR for 8-bit
/// pictures: half-pixel centres, no antialiasing, weights of 11 bits.
struct ResizeTap {
  static constexpr int weight_bits = 11;
  int first, second;
  int weight[2];  // of 2^weight_bits
};

/// Fills the taps of a resize from `from` pixels to `taps.size()` pixels.
void find_resize_taps(int from, std::span<ResizeTap> taps);

}  // namespace flow

#pragma once

#include <span>

namespace flow {

/// Where a resized pixel comes from along one axis, as OpenCV's INTER_LINEAR of 8-bit pictures has it: half-pixel
/// centres, no antialiasing, weights of 11 bits.
struct ResizeTap {
  static constexpr int weight_bits = 11;
  int first, second;
  int weight[2];  // of 2^weight_bits
};

/// Fills one tap per pixel of the result, whose length is that of `taps`; `from` pixels become that many.
void find_resize_taps(int from, std::span<ResizeTap> taps);

}  // namespace flow

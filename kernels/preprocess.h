#pragma once

#include "frame.h"

// Parameters of preprocess.cu: preprocess_TYPE, TYPE (f32, f16, bf16) of `patches`. A thread computes one pixel, three
// values. The grid is (ceil(width / 32), ceil(height / 8)), the block 32 x 8.

namespace flow::kernels {

/// The two source positions of a resized pixel along one axis, and their weights: OpenCV's INTER_LINEAR of 8-bit
/// pictures, weights of 11 bits.
struct ResizeTap {
  int first, second;
  int weight[2];  // in units of 1 / 2048
};

struct PreprocessParams {
  FrameView frame;
  const ResizeTap* across;  // width taps; null if the frame already has the size
  const ResizeTap* down;    // height taps
  int width, height;        // multiples of patch
  int patch;
  void* patches;  // height / patch * width / patch rows of 3 * patch * patch, (channel, y, x), ldp apart
  int ldp;
};

}  // namespace flow::kernels

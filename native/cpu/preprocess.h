#pragma once

#include <cstdint>
#include <vector>

#include "ops/ops.h"
#include "ops/resize_taps.h"

namespace flow::cpu {

/// Bilinear resize of 8-bit RGB, bit for bit as OpenCV's INTER_LINEAR: half-pixel centres, no antialiasing, weights of
/// 11 bits, the result rounded to 8 bits. Then x/255, ImageNet normalisation and the cut into patches.
class Preprocess {
 public:
  /// Plans for frames of one size; cheap if the size is that of the previous call.
  void plan(const Frame& frame, int height, int width, int threads);

  /// Writes the patches of one row of the patch grid: `grid_width` rows of 3 * patch * patch, (channel, y, x), `stride`
  /// apart.
  void patch_row(const Frame& frame, int row, int patch, int thread, float* out, int stride);

 private:
  struct RowBuffers {
    std::vector<std::uint8_t> rgb;  // one source row
    std::vector<int> upper, lower;  // two source rows, resized horizontally
    int upper_row = -1, lower_row = -1;
    std::vector<std::uint8_t> result;
  };
  void resize_horizontally(const Frame& frame, int y, RowBuffers& buffers, std::vector<int>& out) const;
  const std::uint8_t* resized_row(const Frame& frame, int y, RowBuffers& buffers) const;

  int from_width_ = 0, from_height_ = 0, width_ = 0, height_ = 0;
  std::vector<ResizeTap> across_, down_;
  std::vector<RowBuffers> buffers_;  // one per thread
};

/// Row y of a frame as RGB.
void read_rgb_row(const Frame& frame, int y, std::uint8_t* rgb);

}  // namespace flow::cpu

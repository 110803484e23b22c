#pragma once

#include <span>
#include <vector>

#include "cpu/thread_pool.h"
#include "ops/refine_stages.h"

namespace flow::cpu {

/// Builds the pyramid of a frame: see RefineStages::image_pyramid.
class ImagePyramid {
 public:
  void build(ThreadPool& pool, const Frame& frame, std::span<const Image> levels);

 private:
  /// Source pixels of one resized pixel along one axis, with their weights.
  struct Taps {
    int first;
    std::vector<float> weights;
  };
  struct RowBuffers {
    std::vector<std::uint8_t> bytes;  // a row of the frame, R, G and B
    std::vector<float> rgb[2];        // two rows of level 0
  };
  static void find_taps(int from, int to, std::vector<Taps>& taps);
  void plan(const Frame& frame, const Image& image, int threads);
  void read_row(const Frame& frame, int y, std::vector<std::uint8_t>& bytes, std::vector<float>& rgb) const;
  void first_levels(const Frame& frame, std::span<const Image> levels, int pair, RowBuffers& buffers) const;

  int from_height_ = 0, from_width_ = 0, height_ = 0, width_ = 0;
  std::vector<Taps> across_, down_;  // empty if the frame is not resized
  std::vector<RowBuffers> buffers_;  // one per thread
};

}  // namespace flow::cpu

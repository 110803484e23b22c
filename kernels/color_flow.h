#pragma once

#include <cstdint>

// Parameters of color_flow.cu. `longest_motion` writes one value per block, the longest motion of its rows: the grid is
// (longest_motion_blocks). `color_flow` takes the maximum of those values and colours `color_flow_pixels` pixels per
// thread: the grid is (ceil(height * width / (color_flow_threads * color_flow_pixels))).

namespace flow::kernels {

constexpr int longest_motion_threads = 256;
constexpr int most_longest_motions = 256;  // color_flow reads one with each thread of a block

constexpr int longest_motion_blocks(int height) {
  return height < most_longest_motions ? height : most_longest_motions;
}

struct LongestMotionParams {
  const float* flow;  // 2 planes of height x width, rows ldf apart
  int height, width, ldf;
  float* longest;  // one per block
};
constexpr int longest_motion_shared_bytes = longest_motion_threads / 32 * static_cast<int>(sizeof(float));

constexpr int color_flow_threads = 256;
constexpr int color_flow_pixels = 4;  // their 12 bytes are written as three 32-bit words
constexpr int wheel_colors = 55;

struct ColorFlowParams {
  const float* flow;  // as above
  int height, width, ldf;
  std::uint8_t* picture;  // height x width x 3 without padding, aligned to 4 bytes
  const float* longest;   // `longest_count` values, at most most_longest_motions; none if `scale` is set
  int longest_count;
  double scale;                           // motion in pixels that gets the full colour; 0: the longest motion
  double clip_max;                        // each component is clamped to [-clip_max, clip_max]; may be infinite
  double clip_min;                        // shorter motion is white
  std::uint32_t wheel[wheel_colors + 1];  // red in the lowest byte, then green, blue; the last colour repeats the first
};
constexpr int color_flow_shared_bytes = (wheel_colors + 1) * static_cast<int>(sizeof(std::uint32_t)) +
                                        color_flow_threads / 32 * static_cast<int>(sizeof(float));

}  // namespace flow::kernels

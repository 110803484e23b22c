#pragma once

#include <cstdint>

// Parameters of round_trip.cu: round_trip and check_return. A block has 32 x 8 threads, one pixel each; the grid is
// (ceil(width / 32), ceil(height / 8)).

namespace flow::kernels {

struct RoundTripParams {
  const float* forward;     // 2 planes of height x width, rows ld_forward apart
  const float* backward;    // 2 planes of height x width, rows ld_backward apart
  std::uint8_t* occlusion;  // height x width, tight; null: not wanted
  float* confidence;        // height x width, rows ld_confidence apart; null: not wanted
  int height, width;
  int ld_forward, ld_backward, ld_confidence;
};

struct CheckReturnParams {
  const float* flow;  // 2 planes of height x width, rows ld_flow apart
  const float* back;  // 2 planes of back_height x back_width, rows ld_back apart
  float* sure;        // height x width, rows ld_sure apart
  int height, width, back_height, back_width;
  int ld_flow, ld_back, ld_sure;
  float scale;  // pixels of `back` per pixel
};

}  // namespace flow::kernels

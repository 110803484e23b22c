#pragma once

#include "measure_flow.h"

// Parameters of rate_flow.cu. Its kernels have a thread a pixel: the block is 32 x 8. rate_flow computes the
// probabilities, its grid is (ceil(width / 32), ceil(height / 8)); resize_rated resizes them, its grid is
// (ceil(to_width / 32), ceil(to_height / 8)).

namespace flow::kernels {

constexpr int rating_hidden = 8;

/// Each row's last weight is its bias; see ConfidenceWeights.
struct RatingWeights {
  float hidden[rating_hidden][measure_count + 1];
  float out[rating_hidden + 1];
};

struct RateFlowParams {
  const float* measures;  // measure_count planes of height x width, rows ld_measures apart
  float* rated;           // height x width, rows ld_rated apart
  int height, width;
  int ld_measures, ld_rated;
  RatingWeights weights;
};

struct ResizeRatedParams {
  const float* rated;  // height x width, rows ld_rated apart
  float* confidence;   // to_height x to_width, rows ld_confidence apart
  int height, width, to_height, to_width;
  int ld_rated, ld_confidence;
  float scale_down, scale_across;  // pixels of `rated` per pixel of `confidence`
};

}  // namespace flow::kernels

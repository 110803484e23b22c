#pragma once

#include "patches.h"

// Parameters of fit_exposure.cu. One block per channel.

namespace flow::kernels {

constexpr int fit_exposure_threads = 512;
constexpr int fit_exposure_sums = 5;
/// The sums of each warp, then gain and offset.
constexpr int fit_exposure_shared_bytes = (fit_exposure_threads / 32 * fit_exposure_sums + 2) * 4;

struct FitExposureParams {
  ImageView to;
  PatchLayout layout;
  int step;                        // every step-th patch of every step-th row takes part
  const PatchTemplate* templates;  // down * across
  const PatchState* patches;       // down * across
  float* exposure;                 // gain of channel c at c, offset at 4 + c
};

}  // namespace flow::kernels

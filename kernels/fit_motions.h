#pragma once

#include "labels.h"

// Parameters of fit_motions.cu: fit_windows and take_samples, then for each motion rate_motions and pick_motion, then
// refine_motions and draw_motions. fit_windows and rate_motions have a warp per window: their grid is ceil(windows /
// fit_motions_warps). take_samples has a thread per sample, refine_motions a block per motion, pick_motion one block.
// The threads of draw_motions are pixels, in blocks of 32 x 8; z of the grid is the motion.

namespace flow::kernels {

constexpr int fit_motions_warps = 8;
constexpr int fit_motions_threads = 32 * fit_motions_warps;
constexpr int pick_motion_threads = 512;
/// The best candidate of each warp: what it explains, and its index.
constexpr int pick_motion_shared_bytes = pick_motion_threads / 32 * 8;
/// The sums of each warp, those of all, and the solution, in double precision.
constexpr int refine_motions_sums = 32;
constexpr int refine_motions_shared_bytes = (fit_motions_warps + 2) * refine_motions_sums * 8;

/// An affine motion, and how many samples it explains that no motion before it does.
struct alignas(16) MotionCandidate {
  float d[6];
  float explained;
};

/// The flow of a start at a sample, how much it counts, and 1 / tolerance.
struct alignas(16) MotionSample {
  float u, v, weight, inverse;
};

struct FitMotionsParams {
  LabelsView labels;
  int fine, coarse;  // radii of the windows, which are also their distances; 0: none
  int windows;       // of all starts
  int sample_step;   // samples are the pixels (i * step, j * step)
  int samples;
  int refine_step;  // the same of the pixels to which the chosen motions are fitted
  int motion;       // of rate_motions and pick_motion
  float tolerance, fraction;
  float least;                  // samples that a motion must explain
  MotionCandidate* candidates;  // of each window
  MotionSample* flows;          // starts * samples
  float* left;                  // of each sample, what no motion explains yet, 0 to 1
};

}  // namespace flow::kernels

#pragma once

#include <vector>

#include "cpu/label_kernels.h"
#include "cpu/thread_pool.h"

namespace flow::cpu {

/// The motions that most pixels of some flows share. Windows, samples and passes do not grow with the frame. Memory is
/// allocated by the first call of a size.
class MotionFit {
 public:
  /// Writes labels' motions (rows of motion_cols) and their flows, which follow those of the starts.
  void run(ThreadPool& pool, const LabelKernels& kernels, const LabelPlanes& labels, int starts,
           const LabelOptions& options, float typical, float* motions, std::ptrdiff_t ld_motions);

 private:
  struct Window {
    int start, x, y, radius;
  };
  struct Candidate {
    Affine motion;
    float explained;  // 0: no fit
  };
  void find_windows();
  void fit_window(const Window& window, Candidate& candidate) const;
  int take_samples();  // returns their number
  void refine(Affine start, float* motion) const;
  void draw(const float* motion, int label, int row) const;
  float weight(int start, int x, int y) const;
  float tolerance(int start, int x, int y) const;

  LabelPlanes labels_{};
  LabelOptions options_;
  int starts_ = 0;
  float rate_ = 0;  // 1 / typical cost
  std::vector<Window> windows_;
  std::vector<Candidate> candidates_;
  std::vector<float> samples_;  // arrays of MotionSamples
  MotionSamples at_{};
};

}  // namespace flow::cpu

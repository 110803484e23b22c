#pragma once

// Shared by the kernels of the choice between motions: the labels, and where they lead.

#include "kernel.cuh"
#include "labels.h"

namespace flow::kernels {

DEVICE float* label_motion(const LabelsView& labels, int motion) { return labels.motions + motion * labels.ld_motions; }

/// The starts and the motions that were found.
DEVICE int label_count(const LabelsView& labels) {
  int motions = 0;
  while (motions < most_label_motions && label_motion(labels, motions)[label_motion_cols - 1] > 0) motions++;
  return labels.starts + motions;
}

/// From a label's plane to the same one of the next label.
DEVICE std::ptrdiff_t label_plane(const LabelsView& labels) {
  return static_cast<std::ptrdiff_t>(labels.height) * labels.ld;
}
/// Where pixel (y, x) of a label is in costs, scales and sums.
DEVICE std::ptrdiff_t label_at(const LabelsView& labels, int label, int y, int x) {
  return label * label_plane(labels) + static_cast<std::ptrdiff_t>(y) * labels.ld + x;
}

struct LabelMotion {
  float u, v;
};
DEVICE LabelMotion motion_at(const LabelsView& labels, int label, int y, int x) {
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(labels.height) * labels.ld_flow;
  const float* u = labels.flows + 2 * label * plane + static_cast<std::ptrdiff_t>(y) * labels.ld_flow + x;
  return {u[0], u[plane]};
}

/// The part of the window of 3 x 3 pixels around pixel (y, x) that stays in the frame where `motion` leads it.
DEVICE float part_inside(const LabelsView& labels, LabelMotion motion, int y, int x) {
  const auto part = [](float to, int size) {
    return fminf(fmaxf((fminf(to, static_cast<float>(size - 1) - to) + 2) / 3, 0.F), 1.F);
  };
  return part(static_cast<float>(x) + motion.u, labels.width) * part(static_cast<float>(y) + motion.v, labels.height);
}

}  // namespace flow::kernels

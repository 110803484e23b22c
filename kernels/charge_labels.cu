// The cost of labels for pixels that the other frame does not show, and the flow of the chosen labels.
//
// charge_outside mixes a cost with that of a pixel outside the frame, by the part of the pixel's window that leaves it,
// and writes 1 / sqrt(1 + relative |motion|). claim_chosen finds for each place of the other frame the pixel that lands
// there at the least cost; charge_covered raises the cost of labels that lead to a place which a pixel from elsewhere
// claims. take_labels copies the chosen flow.
//
// A claim holds a cost and the index of its pixel in 64 bits, inverted: the largest is that of the least cost, then of
// the first pixel, whatever the order of arrival, and 0 is none. Every kernel moves a few floats for each pixel and
// label, near the pixel as far as motion is smooth: 480 x 270 with ten labels are 26 MB for charge_outside and 16 MB
// for charge_covered. Memory limits them, mostly L2.

#include "charge_labels.h"

#include "image.h"
#include "labels.cuh"

namespace flow::kernels {

/// This thread's pixel.
struct LabelPixel {
  int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);

  DEVICE bool exists(const LabelsView& labels) const { return y < labels.height && x < labels.width; }
};

/// Added to the cost from label to label: of labels that are the same but for rounding, the first is chosen.
constexpr float label_order = 2e-3F;

KERNEL(charge_outside, ChargeOutsideParams, 256, 1) {
  const LabelsView& labels = p.labels;
  const LabelPixel pixel;
  const int label = static_cast<int>(blockIdx.z);
  if (!pixel.exists(labels) || label >= label_count(labels)) return;
  const LabelMotion motion = motion_at(labels, label, pixel.y, pixel.x);
  const std::ptrdiff_t at = label_at(labels, label, pixel.y, pixel.x);
  const float outside = labels.facts[1];
  labels.costs[at] = outside + part_inside(labels, motion, pixel.y, pixel.x) * (labels.costs[at] - outside) +
                     (label > 0 ? p.moving + label_order * static_cast<float>(label) : 0);
  labels.scales[at] = 1 / sqrtf(1 + p.relative * (fabsf(motion.u) + fabsf(motion.v)));
}

/// Index of the pixel that (y, x) moves to; -1 outside the frame.
DEVICE int place_of(const LabelsView& labels, int label, int y, int x) {
  const LabelMotion motion = motion_at(labels, label, y, x);
  const float to_x = static_cast<float>(x) + motion.u + nearest_pixel;
  const float to_y = static_cast<float>(y) + motion.v + nearest_pixel;
  const bool inside =
      to_x >= 0 && to_y >= 0 && to_x < static_cast<float>(labels.width) && to_y < static_cast<float>(labels.height);
  return inside ? static_cast<int>(to_y) * labels.width + static_cast<int>(to_x) : -1;
}

KERNEL(claim_chosen, ChargeCoveredParams, 256, 1) {
  const LabelsView& labels = p.labels;
  const LabelPixel pixel;
  if (!pixel.exists(labels)) return;
  const int label = static_cast<int>(p.chosen[static_cast<std::ptrdiff_t>(pixel.y) * p.ld_chosen + pixel.x]);
  const int place = place_of(labels, label, pixel.y, pixel.x);
  if (place < 0) return;
  const unsigned cost = __float_as_uint(labels.costs[label_at(labels, label, pixel.y, pixel.x)]);
  const unsigned index = static_cast<unsigned>(pixel.y * labels.width + pixel.x);
  atomicMax(p.claims + place, ~(static_cast<unsigned long long>(cost) << 32 | index));
}

KERNEL(charge_covered, ChargeCoveredParams, 256, 1) {
  constexpr int near = 6;          // px: a claim from there is that of the pixel's own surface
  constexpr float margin = 0.05F;  // by which the claim may cost more
  const LabelsView& labels = p.labels;
  const LabelPixel pixel;
  const int label = static_cast<int>(blockIdx.z);
  if (!pixel.exists(labels) || label >= label_count(labels)) return;
  const int place = place_of(labels, label, pixel.y, pixel.x);
  if (place < 0 || p.claims[place] == 0) return;
  const unsigned long long claim = ~p.claims[place];
  const int from = static_cast<int>(claim & 0xffffffffU);
  if (abs(from / labels.width - pixel.y) + abs(from % labels.width - pixel.x) <= near) return;
  float* cost = labels.costs + label_at(labels, label, pixel.y, pixel.x);
  const float least = __uint_as_float(static_cast<unsigned>(claim >> 32));
  if (least < *cost + margin) *cost = fmaxf(*cost, labels.facts[1] + p.covered);
}

KERNEL(take_labels, TakeLabelsParams, 256, 1) {
  const LabelsView& labels = p.labels;
  const LabelPixel pixel;
  if (!pixel.exists(labels)) return;
  const int label = static_cast<int>(p.chosen[static_cast<std::ptrdiff_t>(pixel.y) * p.ld_chosen + pixel.x]);
  const LabelMotion motion = motion_at(labels, label, pixel.y, pixel.x);
  float* flow = p.flow + static_cast<std::ptrdiff_t>(pixel.y) * p.ld_flow + pixel.x;
  flow[0] = motion.u, flow[static_cast<std::ptrdiff_t>(labels.height) * p.ld_flow] = motion.v;
}

}  // namespace flow::kernels

#include <algorithm>

#include "cpu/cpu_ops.h"
#include "cpu/labels.h"

// The stages of the choice between motions: each becomes a job and its items.

namespace flow::cpu {

namespace {

float* floats(RealMatrix m) { return static_cast<float*>(m.data); }

LabelPlanes planes_of(const Labels& labels, int count) {
  return {labels.height,        labels.width,        labels.starts,        count,
          floats(labels.flows), labels.flows.stride, floats(labels.costs), floats(labels.scales),
          floats(labels.sums),  labels.costs.stride};
}

/// The starts and the motions that were found.
LabelPlanes all_planes(const Labels& labels) {
  int motions = 0;
  while (motions < most_motions && floats(labels.motions)[motions * labels.motions.stride + motion_cols - 1] > 0) {
    motions++;
  }
  return planes_of(labels, labels.starts + motions);
}

}  // namespace

void CpuOps::clear_first_label(const Labels& labels) {
  const RealMatrix flow = labels.flow(0);
  std::fill_n(floats(flow), static_cast<std::ptrdiff_t>(flow.rows) * flow.stride, 0.0F);
}

void CpuOps::census_costs(const Image& from, const Image& to, RealMatrix exposure, const Labels& labels, int first,
                          int count, const LabelOptions& options) {
  LabelPlanes planes = first < labels.starts ? planes_of(labels, first + count) : all_planes(labels);
  planes.count = std::min(planes.count, first + count);
  const float* gains = floats(exposure);
  const CensusJob job{plane_of(from, Image::luma_of(label_level - 1)),
                      plane_of(to, Image::luma_of(label_level - 1)),
                      from.height,
                      from.width,
                      0.299F * gains[0] + 0.587F * gains[1] + 0.114F * gains[2],
                      planes,
                      first,
                      options.contrast,
                      ceil_div(labels.width, census_tile_width),
                      ceil_div(labels.height, census_tile_height)};
  reserve_scratch(kernels_.labels.census_scratch());
  pool_.run(job.across * job.down, [&](int item, int thread) { kernels_.labels.census(job, item, scratch(thread)); });
}

void CpuOps::rate_costs(const Labels& labels, const LabelOptions& options) {
  rate(planes_of(labels, labels.starts), labels.starts, options, floats(labels.facts));
}

void CpuOps::fit_motions(const Labels& labels, const LabelOptions& options) {
  motion_fit_.run(pool_, kernels_.labels, planes_of(labels, labels.starts), labels.starts, options,
                  floats(labels.facts)[0], floats(labels.motions), labels.motions.stride);
}

void CpuOps::charge_outside(const Labels& labels, const LabelOptions& options) {
  const LabelPlanes planes = all_planes(labels);
  pool_.run(planes.count * planes.height, [&](int item, int /*thread*/) {
    charge_outside_row(planes, item / planes.height, item % planes.height, options, floats(labels.facts)[1]);
  });
}

void CpuOps::choose_labels(const Image& image, const Labels& labels, const LabelOptions& options, RealMatrix chosen) {
  MessageJob job{{}, all_planes(labels), options, floats(chosen), chosen.stride};
  job.options.smoothness *= 1 - floats(labels.facts)[0];
  for (int c = 0; c < 3; c++) job.planes[c] = plane_of(image, c);
  reserve_scratch(kernels_.labels.message_scratch(job));
  pool_.run(ceil_div(labels.height, kernels_.lanes),
            [&](int item, int thread) { kernels_.labels.messages_along_rows(job, item, scratch(thread)); });
  pool_.run(ceil_div(labels.width, message_columns),
            [&](int item, int /*thread*/) { kernels_.labels.messages_along_columns(job, item); });
}

void CpuOps::charge_covered(const Labels& labels, const LabelOptions& options, RealMatrix chosen, RealMatrix claims) {
  const CoveredLabelsJob job{all_planes(labels), floats(chosen),
                             chosen.stride,      static_cast<std::uint64_t*>(claims.data),
                             labels.width,       floats(labels.facts)[1] + options.covered};
  const int height = labels.height;
  pool_.run(height, [&](int row, int /*thread*/) { clear_claims(job, row); });
  pool_.run(height, [&](int row, int /*thread*/) { claim_chosen(job, row); });
  pool_.run(job.labels.count * height,
            [&](int item, int /*thread*/) { charge_claimed(job, item / height, item % height); });
}

void CpuOps::take_labels(const Labels& labels, RealMatrix chosen, RealMatrix flow) {
  const LabelPlanes planes = all_planes(labels);
  const FlowPlanes to = cpu::planes_of(flow);
  pool_.run(labels.height,
            [&](int row, int /*thread*/) { take_chosen(planes, floats(chosen) + row * chosen.stride, row, to); });
}

}  // namespace flow::cpu

#include <algorithm>

#include "cuda/copy.h"
#include "cuda/cuda_ops.h"
#include "cuda/tiles.h"
#include "cuda/views.h"
#include "kernels/census_costs.h"
#include "kernels/charge_labels.h"
#include "kernels/choose_labels.h"
#include "kernels/fit_motions.h"
#include "kernels/rate_costs.h"

// The stages of the choice between motions. Only the device knows how many motions were found, so kernels are launched
// for as many as there may be.

namespace flow::cuda {

namespace {

static_assert(most_starts == kernels::most_label_starts && most_motions == kernels::most_label_motions &&
              motion_cols == kernels::label_motion_cols);

kernels::LabelsView view_of(const Labels& labels) {
  return {labels.height,         labels.width,          labels.starts,          labels.flows.stride,
          labels.costs.stride,   labels.motions.stride, floats(labels.flows),   floats(labels.costs),
          floats(labels.scales), floats(labels.sums),   floats(labels.motions), floats(labels.facts)};
}

/// A thread per pixel and label.
Dim3 label_grid(const Labels& labels, int count) {
  const Dim3 pixels = pixel_grid(labels.height, labels.width);
  return {pixels.x, pixels.y, count};
}

/// Windows of one radius along both sides.
int count_windows(const Labels& labels, int radius) {
  const auto along = [&](int size) { return ceil_div(size - radius / 2, radius); };
  return radius > 0 ? along(labels.height) * along(labels.width) : 0;
}

}  // namespace

void CudaOps::clear_first_label(const Labels& labels) {
  const RealMatrix flow = labels.flow(0);
  const std::size_t floats = static_cast<std::size_t>(flow.rows) * static_cast<std::size_t>(flow.stride);
  guarded([&] { zero_on_device(flow.data, sizeof(float) * floats, stream_); });
}

void CudaOps::census_costs(const Image& from, const Image& to, RealMatrix exposure, const Labels& labels, int first,
                           int count, const LabelOptions& options) {
  if (count == 0) return;
  const Dim3 grid{ceil_div(labels.width, kernels::census_tile_width),
                  ceil_div(labels.height, kernels::census_tile_height), count};
  launch("census_costs", grid, {kernels::census_threads}, kernels::census_shared_bytes,
         kernels::CensusCostsParams{view_of(from), view_of(to), view_of(labels), floats(exposure), first,
                                    options.contrast});
}

void CudaOps::rate_costs(const Labels& labels, const LabelOptions& options) {
  launch("rate_costs", {1}, {kernels::rate_costs_threads}, 0,
         kernels::RateCostsParams{view_of(labels), LabelGrids(labels.height, labels.width).rated, options.outside});
}

void CudaOps::fit_motions(const Labels& labels, const LabelOptions& options) {
  const RealMatrix& motions = labels.motions;
  guarded([&] {  // no motion has a share yet
    const std::size_t floats = static_cast<std::size_t>(motions.rows) * static_cast<std::size_t>(motions.stride);
    zero_on_device(motions.data, sizeof(float) * floats, stream_);
  });
  const LabelGrids grids(labels.height, labels.width);
  const auto radius = [&](int size) { return 2 * size + 1 <= std::min(labels.height, labels.width) ? size : 0; };
  kernels::FitMotionsParams params{};
  params.labels = view_of(labels);
  params.fine = radius(grids.fine), params.coarse = radius(grids.coarse);
  params.windows = labels.starts * (count_windows(labels, params.fine) + count_windows(labels, params.coarse));
  params.sample_step = grids.samples, params.refine_step = grids.fitted;
  params.samples = ceil_div(labels.height, grids.samples) * ceil_div(labels.width, grids.samples);
  params.tolerance = options.tolerance, params.fraction = options.fraction;
  params.least = options.share * static_cast<float>(params.samples);
  if (params.windows == 0 || options.motions == 0) return;

  const auto windows = static_cast<std::size_t>(params.windows), samples = static_cast<std::size_t>(params.samples);
  const std::size_t flows = samples * static_cast<std::size_t>(labels.starts);
  const std::size_t bytes =
      windows * sizeof(kernels::MotionCandidate) + flows * sizeof(kernels::MotionSample) + samples * sizeof(float);
  params.candidates = static_cast<kernels::MotionCandidate*>(guarded([&] { return scratch(refinement_, bytes); }));
  params.flows = reinterpret_cast<kernels::MotionSample*>(params.candidates + windows);
  params.left = reinterpret_cast<float*>(params.flows + flows);

  const Dim3 of_windows{ceil_div(params.windows, kernels::fit_motions_warps)}, block{kernels::fit_motions_threads};
  launch("fit_windows", of_windows, block, 0, params);
  launch("take_samples", {ceil_div(params.samples, kernels::fit_motions_threads)}, block, 0, params);
  for (int i = 0; i < options.motions; i++) {
    params.motion = i;
    launch("rate_motions", of_windows, block, 0, params);
    launch("pick_motion", {1}, {kernels::pick_motion_threads}, kernels::pick_motion_shared_bytes, params);
  }
  launch("refine_motions", {options.motions}, block, kernels::refine_motions_shared_bytes, params);
  launch("draw_motions", label_grid(labels, options.motions), pixel_block, 0, params);
}

void CudaOps::charge_outside(const Labels& labels, const LabelOptions& options) {
  launch("charge_outside", label_grid(labels, labels.starts + options.motions), pixel_block, 0,
         kernels::ChargeOutsideParams{view_of(labels), options.relative, options.moving});
}

void CudaOps::choose_labels(const Image& image, const Labels& labels, const LabelOptions& options, RealMatrix chosen) {
  const kernels::ChooseLabelsParams params{view_of(image),     view_of(labels), floats(chosen), chosen.stride,
                                           options.smoothness, options.most,    options.edge,   options.least};
  launch("pass_along_rows", {ceil_div(labels.height, kernels::choose_labels_lines)}, {kernels::choose_labels_threads},
         0, params);
  launch("pass_along_columns", {ceil_div(labels.width, kernels::choose_labels_lines)}, {kernels::choose_labels_threads},
         0, params);
}

void CudaOps::charge_covered(const Labels& labels, const LabelOptions& options, RealMatrix chosen, RealMatrix claims) {
  const kernels::ChargeCoveredParams params{
      view_of(labels), floats(chosen), static_cast<unsigned long long*>(claims.data), chosen.stride, options.covered};
  const std::size_t pixels = static_cast<std::size_t>(labels.height) * static_cast<std::size_t>(labels.width);
  guarded([&] { zero_on_device(claims.data, pixels * sizeof(unsigned long long), stream_); });
  launch("claim_chosen", pixel_grid(labels.height, labels.width), pixel_block, 0, params);
  launch("charge_covered", label_grid(labels, labels.starts + options.motions), pixel_block, 0, params);
}

void CudaOps::take_labels(const Labels& labels, RealMatrix chosen, RealMatrix flow) {
  launch("take_labels", pixel_grid(labels.height, labels.width), pixel_block, 0,
         kernels::TakeLabelsParams{view_of(labels), floats(chosen), floats(flow), chosen.stride, flow.stride});
}

}  // namespace flow::cuda

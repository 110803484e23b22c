#include <algorithm>
#include <cstring>

#include "cpu/confidence.h"
#include "cpu/cpu_ops.h"
#include "cpu/refine.h"
#include "cpu/round_trip.h"
#include "ops/error.h"

// The refinement's stages: each becomes a job and its items.

namespace flow::cpu {

namespace {

float* floats(RealMatrix m) { return static_cast<float*>(m.data); }
PatchState* states(RealMatrix m) { return static_cast<PatchState*>(m.data); }

PatchJob patch_job(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates) {
  PatchJob job{{}, {}, from.height, from.width, grid, static_cast<PatchTemplate*>(templates.data)};
  for (int c = 0; c < patch_channels; c++) job.from[c] = plane_of(from, c), job.to[c] = plane_of(to, c);
  return job;
}

}  // namespace

void CpuOps::image_pyramid(const Frame& frame, std::span<const Image> levels) {
  image_pyramid_.build(pool_, frame, levels);
}

void CpuOps::patch_templates(const Image& image, PatchGrid grid, RealMatrix templates) {
  const PatchJob job = patch_job(image, image, grid, templates);
  pool_.run(grid.down, [&](int row, int /*thread*/) { kernels_.refine.patch_templates(job, row); });
}

void CpuOps::search_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                            std::span<const RealMatrix> hypotheses, bool zero, const SearchOptions& options,
                            RealMatrix found) {
  if (hypotheses.size() > most_hypotheses) throw Error(ErrorCode::native, "too many hypotheses");
  SearchJob job{
      patch_job(from, to, grid, templates), {}, static_cast<int>(hypotheses.size()), zero, options, states(found)};
  for (std::size_t k = 0; k < hypotheses.size(); k++) job.hypotheses[k] = planes_of(hypotheses[k]);
  pool_.run(grid.down, [&](int row, int /*thread*/) { kernels_.refine.search(job, row); });
}

void CpuOps::vote_patches(PatchGrid grid, RealMatrix templates, int count, const SearchOptions& options,
                          RealMatrix found, RealMatrix patches) {
  const VoteJob job{grid,           static_cast<const PatchTemplate*>(templates.data), states(found), count, options,
                    states(patches)};
  pool_.run(count * grid.down, [&](int row, int /*thread*/) { spread_row(job, row); });
  pool_.run(grid.down, [&](int row, int /*thread*/) { vote_row(job, row); });
}

void CpuOps::propagate_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                               RealMatrix patches, const SearchOptions& options, RealMatrix out) {
  const PropagateJob job{patch_job(from, to, grid, templates), options, states(patches), states(out)};
  pool_.run(grid.down, [&](int row, int /*thread*/) { kernels_.refine.propagate(job, row); });
}

void CpuOps::fit_exposure(const Image& to, PatchGrid grid, RealMatrix templates, RealMatrix patches,
                          RealMatrix exposure) {
  const PatchJob job = patch_job(to, to, grid, templates);
  pool_.run(patch_channels,
            [&](int channel, int /*thread*/) { fit_channel(job, states(patches), channel, floats(exposure)); });
}

void CpuOps::densify_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                             RealMatrix patches, RealMatrix exposure, RealMatrix flow, RealMatrix sure) {
  const DensifyJob job{patch_job(from, to, grid, templates),
                       states(patches),
                       floats(exposure),
                       planes_of(flow),
                       floats(sure),
                       sure.stride};
  reserve_scratch(kernels_.refine.densify_scratch(job));
  pool_.run(ceil_div(from.height, densify_band),
            [&](int item, int thread) { kernels_.refine.densify(job, item, scratch(thread)); });
}

void CpuOps::find_covered(RealMatrix flow, RealMatrix sure, RealMatrix best) {
  const CoveredJob job{planes_of(flow), floats(sure), sure.stride, static_cast<int*>(best.data), best.stride};
  pool_.run(best.rows, [&](int row, int /*thread*/) {
    std::memset(job.best + row * job.ld_best, 0, sizeof(int) * static_cast<std::size_t>(best.cols));
  });
  pool_.run(best.rows, [&](int row, int /*thread*/) { claim_row(job, row); });
  pool_.run(best.rows, [&](int row, int /*thread*/) { cut_row(job, row); });
}

void CpuOps::check_return(RealMatrix flow, RealMatrix back, float scale, RealMatrix sure) {
  pool_.run(sure.rows, [&](int row, int /*thread*/) { check_return_row(flow, back, scale, row, sure); });
}

void CpuOps::fill_flow(const Image& image, RealMatrix flow, RealMatrix sure, const FillOptions& options,
                       RealMatrix buffers) {
  FillJob job{};
  for (int c = 0; c < 3; c++) job.planes[c] = plane_of(image, c);
  job.flow = planes_of(flow);
  job.sure = floats(sure), job.ld_sure = sure.stride;
  float* next = floats(buffers);
  for (float** plane : {&job.u, &job.v, &job.weight, &job.right, &job.down}) {
    *plane = next;
    next += static_cast<std::ptrdiff_t>(image.height) * buffers.stride;
  }
  job.stride = buffers.stride;
  job.edge = options.edge, job.keep = options.keep;
  reserve_scratch(kernels_.refine.fill_scratch(job));
  const int bands = ceil_div(image.height, fill_rows);
  pool_.run(bands, [&](int item, int /*thread*/) { kernels_.refine.fill_start(job, item); });
  for (int pass = 0; pass < options.passes; pass++) {
    job.lambda = options.lambda(pass);
    pool_.run(bands, [&](int item, int thread) { kernels_.refine.fill_rows(job, item, scratch(thread)); });
    pool_.run(ceil_div(image.width, fill_columns),
              [&](int item, int thread) { kernels_.refine.fill_columns(job, item, scratch(thread)); });
  }
  pool_.run(bands, [&](int item, int /*thread*/) { kernels_.refine.fill_end(job, item); });
}

void CpuOps::refine_variational(const Image& from, const Image& to, int plane, RealMatrix flow,
                                const VariationalOptions& options, RealMatrix out) {
  const VariationalJob job{plane_of(from, plane),
                           plane_of(to, plane),
                           planes_of(flow),
                           planes_of(out),
                           options,
                           ceil_div(from.width, variational_tile_width),
                           ceil_div(from.height, variational_tile_height)};
  reserve_scratch(kernels_.refine.variational_scratch());
  pool_.run(job.across * job.down,
            [&](int item, int thread) { kernels_.refine.variational(job, item, scratch(thread)); });
}

void CpuOps::measure_flow(const Image& from, const Image& to, RealMatrix exposure, RealMatrix sure, RealMatrix flow,
                          RealMatrix back, RealMatrix measures) {
  MeasureJob job{};
  job.luma = plane_of(from, Image::luma_of(1));
  job.height = from.height, job.width = from.width;
  for (int c = 0; c < 3; c++) job.from[c] = plane_of(from, c), job.to[c] = plane_of(to, c);
  job.exposure = floats(exposure);
  job.sure = floats(sure), job.ld_sure = sure.stride;
  job.flow = planes_of(flow);
  if (back) job.back = planes_of(back);
  job.measures = floats(measures), job.ld_measures = measures.stride;
  reserve_scratch(measure_scratch(job));
  pool_.run(ceil_div(from.height, measure_band),
            [&](int item, int thread) { measure_rows(job, item, scratch(thread)); });
}

void CpuOps::rate_flow(RealMatrix measures, const ConfidenceWeights& weights, RealMatrix rated, float scale_down,
                       float scale_across, RealMatrix confidence) {
  pool_.run(rated.rows, [&](int row, int /*thread*/) { rate_row(measures, weights, rated, row); });
  reserve_scratch(static_cast<std::size_t>(rated.cols));
  pool_.run(confidence.rows, [&](int row, int thread) {
    resize_row(rated, scale_down, scale_across, confidence, row, scratch(thread));
  });
}

void CpuOps::double_flow(RealMatrix flow, RealMatrix out) {
  const FlowPlanes in = planes_of(flow), to = planes_of(out);
  pool_.run(out.rows, [&](int row, int /*thread*/) { kernels_.refine.double_row(in, to, row); });
}

void CpuOps::sharpen_edges(const Image& image, const Image& half, RealMatrix flow, RealMatrix sure,
                           const SharpenOptions& options, RealMatrix out) {
  SharpenJob job{plane_of(image, Image::luma_of(0)),
                 {},
                 floats(sure),
                 sure.stride,
                 half.height,
                 half.width,
                 planes_of(flow),
                 planes_of(out),
                 options,
                 ceil_div(image.width, sharpen_tile_width)};
  for (int c = 0; c < 3; c++) job.half[c] = plane_of(half, c);
  reserve_scratch(kernels_.refine.sharpen_scratch());
  pool_.run(job.across * ceil_div(image.height, sharpen_tile_height),
            [&](int item, int thread) { kernels_.refine.sharpen(job, item, scratch(thread)); });
}

}  // namespace flow::cpu

#include <bit>

#include "cuda/copy.h"
#include "cuda/cuda_ops.h"
#include "cuda/tiles.h"
#include "cuda/views.h"
#include "kernels/densify_patches.h"
#include "kernels/double_flow.h"
#include "kernels/fill_flow.h"
#include "kernels/find_covered.h"
#include "kernels/fit_exposure.h"
#include "kernels/image_pyramid.h"
#include "kernels/measure_flow.h"
#include "kernels/patch_templates.h"
#include "kernels/rate_flow.h"
#include "kernels/refine_variational.h"
#include "kernels/round_trip.h"
#include "kernels/search_patches.h"
#include "kernels/sharpen_edges.h"
#include "kernels/vote_patches.h"
#include "ops/error.h"

// The refinement's stages: each becomes the launch of a kernel, or of a few.

namespace flow::cuda {

namespace {

static_assert(patch_side == kernels::patch_side && image_border == kernels::ImageView::border);
static_assert(template_cols * sizeof(float) == sizeof(kernels::PatchTemplate));
static_assert(patch_cols * sizeof(float) == sizeof(kernels::PatchState));
static_assert(most_hypotheses == kernels::most_hypotheses);
static_assert(nearest_pixel == kernels::nearest_pixel);

kernels::PatchTemplate* templates_of(RealMatrix m) { return static_cast<kernels::PatchTemplate*>(m.data); }
kernels::PatchState* states_of(RealMatrix m) { return static_cast<kernels::PatchState*>(m.data); }

kernels::PatchLayout layout_of(PatchGrid grid) { return {grid.stride, grid.down, grid.across}; }

kernels::PatchSearchParams search_params(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                                         const SearchOptions& options) {
  return {view_of(from),   view_of(to),   layout_of(grid), templates_of(templates), options.iterations,
          options.texture, options.reach, options.stop,    options.unlike,          options.better};
}

/// Blocks for one patch per warp.
int patch_blocks(PatchGrid grid) { return ceil_div(grid.size(), kernels::patch_warps); }

}  // namespace

// ---- patches --------------------------------------------------------------------------------------------------------

void CudaOps::patch_templates(const Image& image, PatchGrid grid, RealMatrix templates) {
  launch("patch_templates", {patch_blocks(grid)}, {kernels::patch_threads}, 0,
         kernels::PatchTemplatesParams{view_of(image), layout_of(grid), templates_of(templates)});
}

void CudaOps::search_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                             std::span<const RealMatrix> hypotheses, bool zero, const SearchOptions& options,
                             RealMatrix found) {
  if (hypotheses.size() > most_hypotheses) throw Error(ErrorCode::native, "too many hypotheses");
  kernels::SearchPatchesParams params{};
  params.search = search_params(from, to, grid, templates, options);
  for (std::size_t k = 0; k < hypotheses.size(); k++) {
    const RealMatrix& flow = hypotheses[k];
    params.hypotheses[k] = {floats(flow), flow.rows / 2, flow.cols, flow.stride};
  }
  params.zeros = zero ? 1 : 0;
  params.found = states_of(found);
  launch("search_patches", {patch_blocks(grid), params.zeros + static_cast<int>(hypotheses.size())},
         {kernels::patch_threads}, 0, params);
}

void CudaOps::vote_patches(PatchGrid grid, RealMatrix templates, int count, const SearchOptions& options,
                           RealMatrix found, RealMatrix patches) {
  const kernels::VotePatchesParams params{grid.down,        grid.across,       count,
                                          options.window,   options.support,   templates_of(templates),
                                          states_of(found), states_of(patches)};
  launch("spread_costs", {ceil_div(count * grid.size(), kernels::vote_threads)}, {kernels::vote_threads}, 0, params);
  launch("vote_patches", {ceil_div(grid.size(), kernels::vote_threads)}, {kernels::vote_threads}, 0, params);
}

void CudaOps::propagate_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                                RealMatrix patches, const SearchOptions& options, RealMatrix out) {
  launch("propagate_patches", {patch_blocks(grid)}, {kernels::patch_threads}, 0,
         kernels::PropagatePatchesParams{search_params(from, to, grid, templates, options), states_of(patches),
                                         states_of(out)});
}

void CudaOps::fit_exposure(const Image& to, PatchGrid grid, RealMatrix templates, RealMatrix patches,
                           RealMatrix exposure) {
  launch("fit_exposure", {kernels::patch_channels}, {kernels::fit_exposure_threads}, kernels::fit_exposure_shared_bytes,
         kernels::FitExposureParams{view_of(to), layout_of(grid), exposure_step(grid), templates_of(templates),
                                    states_of(patches), floats(exposure)});
}

void CudaOps::densify_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                              RealMatrix patches, RealMatrix exposure, RealMatrix flow, RealMatrix sure) {
  launch("densify_patches", {ceil_div(from.width, 32), ceil_div(from.height, 8)}, {32, 8}, 0,
         kernels::DensifyPatchesParams{view_of(from), view_of(to), layout_of(grid), templates_of(templates),
                                       states_of(patches), floats(exposure), floats(flow), floats(sure), flow.stride,
                                       sure.stride});
}

// ---- pixels ---------------------------------------------------------------------------------------------------------

namespace {

static_assert(variational_tile_height == kernels::variational_tile_height &&
              variational_tile_width == kernels::variational_tile_width &&
              variational_halo == kernels::variational_halo);
static_assert(sharpen_radius == kernels::sharpen_radius && sharpen_step == kernels::sharpen_step &&
              sharpen_halvings == kernels::sharpen_halvings);

}  // namespace

void CudaOps::image_pyramid(const Frame& frame, std::span<const Image> levels) {
  for (std::size_t l = 0; l < levels.size(); l++) {
    const kernels::ImageView to = view_of(levels[l]);
    const Dim3 grid = pixel_grid(to.height + 2 * image_border, to.width + 2 * image_border);
    if (l < 2) {
      launch(l == 0 ? "pyramid_luma" : "pyramid_half", grid, pixel_block, 0,
             kernels::PyramidFrameParams{flow::view_of(frame), levels[0].height, levels[0].width, to});
    } else {
      launch("pyramid_next", grid, pixel_block, 0, kernels::PyramidNextParams{view_of(levels[l - 1]), to});
    }
  }
}

void CudaOps::find_covered(RealMatrix flow, RealMatrix sure, RealMatrix best) {
  const kernels::FindCoveredParams params{floats(flow), floats(sure), static_cast<int*>(best.data),
                                          sure.rows,    sure.cols,    flow.stride,
                                          sure.stride,  best.stride};
  guarded([&] {
    const std::size_t bytes = sizeof(int) * static_cast<std::size_t>(best.rows) * static_cast<std::size_t>(best.stride);
    zero_on_device(best.data, bytes, stream_);
  });
  const Dim3 grid = pixel_grid(sure.rows, sure.cols);
  launch("find_covered_claim", grid, pixel_block, 0, params);
  launch("find_covered_cut", grid, pixel_block, 0, params);
}

void CudaOps::check_return(RealMatrix flow, RealMatrix back, float scale, RealMatrix sure) {
  launch("check_return", pixel_grid(sure.rows, sure.cols), pixel_block, 0,
         kernels::CheckReturnParams{floats(flow), floats(back), floats(sure), sure.rows, sure.cols, back.rows / 2,
                                    back.cols, flow.stride, back.stride, sure.stride, scale});
}

void CudaOps::fill_flow(const Image& image, RealMatrix flow, RealMatrix sure, const FillOptions& options,
                        RealMatrix buffers) {
  const int height = image.height, width = image.width;
  const std::size_t plane = static_cast<std::size_t>(height) * static_cast<std::size_t>(buffers.stride);
  kernels::FillFlowParams params{};
  params.image = view_of(image);
  params.flow = floats(flow), params.ld_flow = flow.stride;
  params.sure = floats(sure), params.ld_sure = sure.stride;
  params.sums = floats(buffers), params.ld = buffers.stride;
  params.right = params.sums + 3 * plane, params.down = params.sums + 4 * plane;
  params.factors = static_cast<float*>(guarded([&] { return scratch(refinement_, sizeof(float) * plane); }));
  params.edge = options.edge, params.keep = options.keep;
  const auto solve = [&](const char* kernel, int lines) {
    launch(kernel, {ceil_div(lines, kernels::fill_flow_lines)}, {kernels::fill_flow_threads},
           kernels::fill_flow_shared_bytes, params);
  };
  launch("fill_flow_start", pixel_grid(height, width), pixel_block, 0, params);
  for (int pass = 0; pass < options.passes; pass++) {
    params.lambda = options.lambda(pass);
    solve("fill_flow_rows", height);
    solve("fill_flow_columns", width);
  }
  launch("fill_flow_end", pixel_grid(height, width), pixel_block, 0, params);
}

void CudaOps::refine_variational(const Image& from, const Image& to, int plane, RealMatrix flow,
                                 const VariationalOptions& options, RealMatrix out) {
  const int height = from.height, width = from.width;
  const std::size_t pixels = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  auto* mean = static_cast<float*>(guarded([&] { return scratch(refinement_, 2 * sizeof(float) * pixels); }));
  float* difference = mean + pixels;
  launch("warp_luma", pixel_grid(height, width), pixel_block, 0,
         kernels::WarpLumaParams{view_of(from), view_of(to), plane, floats(flow), mean, difference, flow.stride});
  const kernels::RefineVariationalParams params{
      mean,         difference,         floats(flow),     floats(out),        height,
      width,        flow.stride,        out.stride,       options.outer,      options.inner,
      options.halo, options.smoothness, options.gradient, options.brightness, options.relaxation};
  launch("refine_variational",
         {ceil_div(width, kernels::variational_tile_width), ceil_div(height, kernels::variational_tile_height)},
         {kernels::variational_threads}, kernels::variational_shared_bytes, params);
}

void CudaOps::double_flow(RealMatrix flow, RealMatrix out) {
  const kernels::DoubleFlowParams params{floats(flow), floats(out), flow.rows / 2, flow.cols,
                                         out.rows / 2, out.cols,    flow.stride,   out.stride};
  launch("double_flow", {ceil_div(out.cols, 32), ceil_div(out.rows / 2, 8), 2}, pixel_block, 0, params);
}

void CudaOps::sharpen_edges(const Image& image, const Image& half, RealMatrix flow, RealMatrix sure,
                            const SharpenOptions& options, RealMatrix out) {
  launch("sharpen_edges",
         {ceil_div(image.width, kernels::sharpen_tile_width), ceil_div(image.height, kernels::sharpen_tile_height)},
         {kernels::sharpen_tile_width, kernels::sharpen_tile_height}, kernels::sharpen_shared_bytes,
         kernels::SharpenEdgesParams{view_of(image), view_of(half), floats(flow), floats(sure), floats(out),
                                     flow.stride, sure.stride, out.stride, options.step, options.share, options.color,
                                     options.distance, options.least});
}

// ---- confidence -----------------------------------------------------------------------------------------------------

namespace {

static_assert(measure_count == kernels::measure_count && sizeof(ConfidenceWeights) == sizeof(kernels::RatingWeights));

kernels::MeasuredFlow measured(RealMatrix flow) {
  if (!flow) return {};
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(flow.rows / 2) * flow.stride;
  return {floats(flow), floats(flow) + plane, flow.stride};
}

}  // namespace

void CudaOps::measure_flow(const Image& from, const Image& to, RealMatrix exposure, RealMatrix sure, RealMatrix flow,
                           RealMatrix back, RealMatrix measures) {
  launch("measure_flow",
         {ceil_div(from.width, kernels::measure_tile_width), ceil_div(from.height, kernels::measure_tile_height)},
         {kernels::measure_tile_width, kernels::measure_tile_height}, kernels::measure_shared_bytes,
         kernels::MeasureFlowParams{view_of(from), view_of(to), floats(exposure), floats(sure), measured(flow),
                                    measured(back), floats(measures), sure.stride, measures.stride});
}

void CudaOps::rate_flow(RealMatrix measures, const ConfidenceWeights& weights, RealMatrix rated, float scale_down,
                        float scale_across, RealMatrix confidence) {
  launch("rate_flow", pixel_grid(rated.rows, rated.cols), pixel_block, 0,
         kernels::RateFlowParams{floats(measures), floats(rated), rated.rows, rated.cols, measures.stride, rated.stride,
                                 std::bit_cast<kernels::RatingWeights>(weights)});
  launch("resize_rated", pixel_grid(confidence.rows, confidence.cols), pixel_block, 0,
         kernels::ResizeRatedParams{floats(rated), floats(confidence), rated.rows, rated.cols, confidence.rows,
                                    confidence.cols, rated.stride, confidence.stride, scale_down, scale_across});
}

}  // namespace flow::cuda

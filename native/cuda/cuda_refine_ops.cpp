#include "cuda/cuda_ops.h"
#include "cuda/tiles.h"
#include "kernels/densify_patches.h"
#include "kernels/fit_exposure.h"
#include "kernels/patch_templates.h"
#include "kernels/search_patches.h"
#include "kernels/vote_patches.h"
#include "ops/error.h"

// The refinement's stages: each becomes the launch of a kernel, or of a few.

namespace flow::cuda {

namespace {

[[noreturn]] void not_yet() { throw Error(ErrorCode::device, "this engine does not refine a flow yet"); }

static_assert(patch_side == kernels::patch_side && image_border == kernels::ImageView::border);
static_assert(template_cols * sizeof(float) == sizeof(kernels::PatchTemplate));
static_assert(patch_cols * sizeof(float) == sizeof(kernels::PatchState));
static_assert(most_hypotheses == kernels::most_hypotheses);

float* floats(RealMatrix m) { return static_cast<float*>(m.data); }
kernels::PatchTemplate* templates_of(RealMatrix m) { return static_cast<kernels::PatchTemplate*>(m.data); }
kernels::PatchState* states_of(RealMatrix m) { return static_cast<kernels::PatchState*>(m.data); }

kernels::ImageView view_of(const Image& image) {
  return {static_cast<float*>(image.planes.data), image.height, image.width, image.planes.stride};
}

kernels::PatchLayout layout_of(PatchGrid grid) { return {grid.stride, grid.down, grid.across}; }

kernels::PatchSearchParams search_params(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                                         const SearchOptions& options) {
  return {view_of(from),   view_of(to),   layout_of(grid), templates_of(templates), options.iterations,
          options.texture, options.reach, options.stop,    options.better};
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

// ---- pyramid, covered pixels, smoothing -----------------------------------------------------------------------------

void CudaOps::image_pyramid(const Frame& /*frame*/, std::span<const Image> /*levels*/) { not_yet(); }
void CudaOps::find_covered(RealMatrix /*flow*/, RealMatrix /*sure*/, RealMatrix /*best*/) { not_yet(); }
void CudaOps::fill_flow(const Image& /*image*/, RealMatrix /*flow*/, RealMatrix /*sure*/,
                        const FillOptions& /*options*/, RealMatrix /*scratch*/) {
  not_yet();
}
void CudaOps::refine_variational(const Image& /*from*/, const Image& /*to*/, int /*plane*/, RealMatrix /*flow*/,
                                 const VariationalOptions& /*options*/, RealMatrix /*out*/) {
  not_yet();
}
void CudaOps::double_flow(RealMatrix /*flow*/, RealMatrix /*out*/) { not_yet(); }

}  // namespace flow::cuda

#pragma once

#include <cstddef>

#include "ops/refine_stages.h"

// The refinement's part of the boundary between the portable CPU engine and the files of isa/; see cpu/kernels.h.

namespace flow::cpu {

constexpr int patch_channels = 3;
constexpr float patch_pixels = patch_side * patch_side;
constexpr float patch_samples = patch_pixels * patch_channels;

/// Pixel (0, 0) of a plane of an image. Rows are `stride` apart, and the border around may be read.
struct Plane {
  float* data;
  std::ptrdiff_t stride;

  float* row(std::ptrdiff_t y) const { return data + y * stride; }
};

/// Pixel (0, 0) of plane `index`.
inline Plane plane_of(const Image& image, int index) {
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(index) * (image.height + 2 * image_border) + image_border;
  return {static_cast<float*>(image.planes.data) + row * image.planes.stride + image_border, image.planes.stride};
}

/// A planar flow.
struct FlowPlanes {
  float* u;
  float* v;
  std::ptrdiff_t stride;
  int height;
  int width;
};

inline FlowPlanes planes_of(RealMatrix flow) {
  auto* u = static_cast<float*>(flow.data);
  return {u, u + static_cast<std::ptrdiff_t>(flow.rows / 2) * flow.stride, flow.stride, flow.rows / 2, flow.cols};
}

/// A patch's template; its members are the columns of `patch_templates`.
struct PatchTemplate {
  float mean[3], mean_x[3], mean_y[3];
  float tt, tx, ty;
  float xx, xy, yy;  // of the inverse
  float texture;
};
static_assert(sizeof(PatchTemplate) == template_cols * sizeof(float));

struct PatchState {
  float u, v, cost, relative;
};
static_assert(sizeof(PatchState) == patch_cols * sizeof(float));

/// Inputs of every patch stage. One item is one row of patches.
struct PatchJob {
  Plane from[patch_channels], to[patch_channels];
  int height;
  int width;
  PatchGrid grid;
  PatchTemplate* templates;
};

struct SearchJob {
  PatchJob patches;
  FlowPlanes hypotheses[most_hypotheses];
  int count;
  bool zero;
  SearchOptions options;
  PatchState* found;
};

struct PropagateJob {
  PatchJob patches;
  SearchOptions options;
  const PatchState* in;
  PatchState* out;
};

/// One item is a band of densify_band rows.
constexpr int densify_band = 16;
struct DensifyJob {
  PatchJob patches;
  const PatchState* states;
  const float* exposure;
  FlowPlanes flow;
  float* sure;
  std::ptrdiff_t ld_sure;
};

/// Fills in along rows: one item is fill_rows of them. Along columns: fill_columns of them.
constexpr int fill_rows = 8, fill_columns = 64;
struct FillJob {
  Plane planes[3];  // R, G, B
  FlowPlanes flow;
  const float* sure;
  std::ptrdiff_t ld_sure;
  float *u, *v, *weight;  // c u, c v and c, smoothed in place
  float *right, *down;    // w between a pixel and the next
  std::ptrdiff_t stride;  // of these five
  float edge, keep;
  float lambda;  // of the pass
};

/// One item is one tile.
struct VariationalJob {
  Plane from, to;
  FlowPlanes in, out;
  VariationalOptions options;
  int across;  // tiles
  int down;
};

/// One item is one tile.
constexpr int sharpen_tile_height = 32, sharpen_tile_width = 64;
struct SharpenJob {
  Plane luma;     // of level 0
  Plane half[3];  // R, G, B of level 1
  const float* sure;
  std::ptrdiff_t ld_sure;
  int half_height;
  int half_width;
  FlowPlanes in, out;
  SharpenOptions options;
  int across;  // tiles
};

/// Item functions as in Kernels; `scratch` belongs to the calling thread.
struct RefineKernels {
  void (*patch_templates)(const PatchJob&, int row);
  void (*search)(const SearchJob&, int row);
  void (*propagate)(const PropagateJob&, int row);
  std::size_t (*densify_scratch)(const DensifyJob&);  // floats
  void (*densify)(const DensifyJob&, int item, float* scratch);
  void (*fill_start)(const FillJob&, int item);  // weights and c u, c v, c of fill_rows rows
  std::size_t (*fill_scratch)(const FillJob&);
  void (*fill_rows)(const FillJob&, int item, float* scratch);
  void (*fill_columns)(const FillJob&, int item, float* scratch);
  void (*fill_end)(const FillJob&, int item);
  std::size_t (*variational_scratch)();
  void (*variational)(const VariationalJob&, int item, float* scratch);
  void (*double_row)(const FlowPlanes& in, const FlowPlanes& out, int row);
  std::size_t (*sharpen_scratch)();
  void (*sharpen)(const SharpenJob&, int item, float* scratch);
};

}  // namespace flow::cpu

// Compiled once per instruction set. The including file defines `Isa` (lanes, tile_rows) and makes its table with
// `make_kernels`. The table is a constant, so that no start-up code of a wide instruction set can ever run.

#include <cmath>

#include "cpu/kernels.h"
#include "cpu/simd.h"

namespace flow::cpu {
namespace {

#include "cpu/isa/norm.inl"
//
#include "cpu/isa/gemm.inl"
//
#include "cpu/isa/attention.inl"
#include "cpu/isa/head.inl"
#include "cpu/isa/patches.inl"
//
#include "cpu/isa/fill.inl"
#include "cpu/isa/sharpen.inl"
#include "cpu/isa/variational.inl"
//
#include "cpu/isa/labels.inl"

/// As many independent accumulators as the micro-kernel has. The factor and the summand are parameters, so that the
/// compiler cannot compute the result in advance.
template <class Isa>
float multiply_add(long steps, float a, float b) {
  using S = Simd<Isa::lanes>;
  typename S::V acc[2 * Isa::tile_rows];
  const typename S::V va = S::broadcast(a), vb = S::broadcast(b);
#pragma GCC unroll 32
  for (int i = 0; i < 2 * Isa::tile_rows; i++) acc[i] = S::broadcast(static_cast<float>(i));
  for (long n = 0; n < steps; n++) {
#pragma GCC unroll 32
    for (int i = 0; i < 2 * Isa::tile_rows; i++) acc[i] = acc[i] * va + vb;
  }
  float total = 0;
  for (int i = 0; i < 2 * Isa::tile_rows; i++) total += S::reduce_add(acc[i]);
  return total;
}

template <class Isa>
constexpr Kernels make_kernels(const char* name) {
  static_assert(2 * Isa::lanes <= widest_panel);
  return {name,
          Isa::lanes,
          Isa::tile_rows,
          Gemm<Isa>::gemm,
          Attention<Isa>::scratch_floats,
          Attention<Isa>::run,
          layer_norm<Isa::lanes>,
          depthwise<Isa::lanes>,
          correlation<Isa::lanes>,
          Upsample<Isa>::scratch_floats,
          Upsample<Isa>::run,
          multiply_add<Isa>,
          {patch_templates, search_patches, propagate_patches, densify_scratch, densify_patches, fill_start<Isa::lanes>,
           fill_scratch, fill_along_rows, fill_along_columns<Isa::lanes>, fill_end<Isa::lanes>,
           VariationalTile<Isa::lanes>::scratch_floats, variational<Isa::lanes>, double_row<Isa::lanes>,
           SharpenTile<Isa::lanes>::scratch_floats, sharpen<Isa::lanes>},
          {CensusTile<Isa::lanes>::scratch_floats, census<Isa::lanes>, message_scratch<Isa::lanes>,
           messages_along_rows<Isa::lanes>, messages_along_columns<Isa::lanes>, explained, remove_explained}};
}

}  // namespace
}  // namespace flow::cpu

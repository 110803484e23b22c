// Compiled once per instruction set: the including file defines `Isa` (lanes, tile_rows) in namespace flow::cpu and then
// calls FLOW_KERNELS with the table's symbol and name.

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

template <class Isa>
constexpr Kernels make_kernels(const char* name) {
  return {name,
          Isa::lanes,
          Isa::tile_rows,
          Gemm<Isa>::scratch_floats,
          Gemm<Isa>::gemm,
          Attention<Isa>::scratch_floats,
          Attention<Isa>::run,
          layer_norm<Isa::lanes>,
          depthwise<Isa::lanes>,
          correlation<Isa::lanes>,
          Upsample<Isa>::scratch_floats,
          Upsample<Isa>::run};
}

}  // namespace
}  // namespace flow::cpu

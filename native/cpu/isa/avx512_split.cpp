#include "cpu/isa/table.inl"
#include "cpu/isa/tables.h"

namespace flow::cpu {
namespace {

// The AVX-512 kernels compiled for AVX2, every vector in two halves: tests their logic where there is no AVX-512.
struct Isa {
  static constexpr int lanes = 16;
  static constexpr int tile_rows = 12;
};

}  // namespace

constinit const Kernels avx512_split_kernels = make_kernels<Isa>("avx512-split");

}  // namespace flow::cpu

#include "cpu/isa/table.inl"
#include "cpu/isa/tables.h"

namespace flow::cpu {
namespace {

// The AVX-512 kernels compiled for AVX2, with every vector in two halves. They test the logic on machines without
// AVX-512.
struct Isa {
  static constexpr int lanes = 16;
  static constexpr int tile_rows = 12;
};

}  // namespace

constinit const Kernels avx512_split_kernels = make_kernels<Isa>("avx512-split");

}  // namespace flow::cpu

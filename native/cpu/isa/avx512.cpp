#include "cpu/isa/table.inl"
#include "cpu/isa/tables.h"

namespace flow::cpu {
namespace {

// AVX-512F. 32 registers: 24 accumulators, 2 for the panel; broadcasts are memory operands.
struct Isa {
  static constexpr int lanes = 16;
  static constexpr int tile_rows = 12;
};

}  // namespace

constinit const Kernels avx512_kernels = make_kernels<Isa>("avx512");

}  // namespace flow::cpu

#include "cpu/isa/table.inl"
#include "cpu/isa/tables.h"

namespace flow::cpu {
namespace {

// AVX2 and FMA. 16 registers: 12 accumulators, 2 for the panel, 1 for the broadcast.
struct Isa {
  static constexpr int lanes = 8;
  static constexpr int tile_rows = 6;
};

}  // namespace

constinit const Kernels avx2_kernels = make_kernels<Isa>("avx2");

}  // namespace flow::cpu

#include "cpu/isa/table.inl"
#include "cpu/isa/tables.h"

namespace flow::cpu {
namespace {

// AArch64's Advanced SIMD. 32 registers: 24 accumulators, 2 for the panel, the rest for broadcasts.
struct Isa {
  static constexpr int lanes = 4;
  static constexpr int tile_rows = 12;
};

}  // namespace

constinit const Kernels neon_kernels = make_kernels<Isa>("neon");

}  // namespace flow::cpu

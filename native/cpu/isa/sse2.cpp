#include "cpu/isa/table.inl"
#include "cpu/isa/tables.h"

namespace flow::cpu {
namespace {

// x86-64's baseline. 16 registers: 12 accumulators, 2 for the panel, 1 for the broadcast.
struct Isa {
  static constexpr int lanes = 4;
  static constexpr int tile_rows = 6;
};

}  // namespace

constinit const Kernels sse2_kernels = make_kernels<Isa>("sse2");

}  // namespace flow::cpu

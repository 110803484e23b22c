#include "tensor.h"

#include <cstring>

#include "count.h"
#include "race.h"

#ifdef __F16C__
#include <immintrin.h>
#endif

namespace emu {
namespace {

// ---- ldmatrix ----------------------------------------------------------------------------------------------------

struct MatrixRow {
  std::uint32_t* registers;
  const void* row;
};

template <int count, bool transposed>
void load_matrices_of_warp(void* const* arguments, std::uint32_t mask) {
  if (mask != ~0U) current->fail(format("ldmatrix: only the lanes %08x take part", mask));
  const void* rows[warp_lanes];
  for (unsigned i = 0; i < warp_lanes; i++) rows[i] = static_cast<const MatrixRow*>(arguments[i])->row;
  count_matrices(rows, count);
  for (int matrix = 0; matrix < count; matrix++) {
    std::uint16_t m[8][8];
    for (int i = 0; i < 8; i++) std::memcpy(m[i], static_cast<const MatrixRow*>(arguments[matrix * 8 + i])->row, 16);
    for (int lane = 0; lane < 32; lane++) {
      const int g = lane / 4, t = lane % 4 * 2;
      const std::uint32_t low = transposed ? m[t][g] : m[g][t], high = transposed ? m[t + 1][g] : m[g][t + 1];
      static_cast<const MatrixRow*>(arguments[lane])->registers[matrix] = low | high << 16;
    }
  }
}

// ---- mma ---------------------------------------------------------------------------------------------------------

struct Fragments {
  float* d;
  const std::uint32_t* a;
  std::uint32_t b[2];
  int depth;  // 8 or 16
};

using Floats = float __attribute__((vector_size(32)));

template <bool bfloat16>
void to_floats(float* to, const std::uint16_t* from, int count) {
  if constexpr (bfloat16) {
    for (int i = 0; i < count; i++) to[i] = __bfloat162float({from[i]});
  } else {
#ifdef __F16C__
    for (int i = 0; i < count; i += 8) {
      const __m128i halves = _mm_load_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm256_store_ps(to + i, _mm256_cvtph_ps(halves));
    }
#else
    for (int i = 0; i < count; i++) to[i] = __half2float({from[i]});
#endif
  }
}

template <bool bfloat16>
void multiply_of_warp(void* const* arguments, std::uint32_t mask) {
  if (mask != ~0U) current->fail(format("mma: only the lanes %08x take part", mask));
  count_instruction(static_cast<const Fragments*>(arguments[0])->depth == 8 ? Instruction::mma_k8 : Instruction::mma);
  alignas(32) std::uint16_t a16[16][16], b16[16][8];
  alignas(32) float a[16][16], d[16][8];
  alignas(32) float b[16][8];
  for (int lane = 0; lane < 32; lane++) {
    const auto& f = *static_cast<const Fragments*>(arguments[lane]);
    const int g = lane / 4, t = lane % 4 * 2;
    for (int r = 0; r < 4; r++) std::memcpy(&a16[g + r % 2 * 8][t + r / 2 * 8], &f.a[r], 4);
    for (int r = 0; r < 2; r++) {
      b16[t + 8 * r][g] = static_cast<std::uint16_t>(f.b[r]);
      b16[t + 8 * r + 1][g] = static_cast<std::uint16_t>(f.b[r] >> 16);
    }
    std::memcpy(&d[g][t], f.d, 8);
    std::memcpy(&d[g + 8][t], f.d + 2, 8);
  }
  to_floats<bfloat16>(&a[0][0], &a16[0][0], 256);
  to_floats<bfloat16>(&b[0][0], &b16[0][0], 128);
  for (int i = 0; i < 16; i++) {
    Floats sum = *reinterpret_cast<const Floats*>(d[i]);
    for (int k = 0; k < 16; k++) sum += a[i][k] * *reinterpret_cast<const Floats*>(b[k]);
    *reinterpret_cast<Floats*>(d[i]) = sum;
  }
  for (int lane = 0; lane < 32; lane++) {
    const auto& f = *static_cast<const Fragments*>(arguments[lane]);
    const int g = lane / 4, t = lane % 4 * 2;
    std::memcpy(f.d, &d[g][t], 8);
    std::memcpy(f.d + 2, &d[g + 8][t], 8);
  }
}

}  // namespace

void load_matrices(std::uint32_t* registers, const void* row, int count, bool transposed, const char* file, int line) {
  Block& block = *current;
  if (static_cast<int>(block.fiber->linear % warp_lanes) < 8 * count) {  // the other lanes' addresses are ignored
    block.fiber->site = {"ldmatrix", file, line};
    const auto offset = static_cast<std::size_t>(static_cast<const unsigned char*>(row) - block.shared);
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) {
      block.fail(format("ldmatrix at %s:%d: the row's address %p is not a multiple of 16", file, line, row));
    }
    if (offset >= block.shared_bytes || block.shared_bytes - offset < 16) {
      block.fail(format("ldmatrix at %s:%d: its row is not within the %zu bytes of shared memory", file, line,
                        block.shared_bytes));
    }
    note_access(row, 16, Access::read);
  }
  MatrixRow argument{registers, row};
  const WarpOperation operation = transposed   ? count == 1   ? load_matrices_of_warp<1, true>
                                                 : count == 2 ? load_matrices_of_warp<2, true>
                                                              : load_matrices_of_warp<4, true>
                                    : count == 1 ? load_matrices_of_warp<1, false>
                                  : count == 2 ? load_matrices_of_warp<2, false>
                                               : load_matrices_of_warp<4, false>;
  block.collective(operation, ~0U, &argument, "ldmatrix", file, line);
}

void multiply(float* d, const std::uint32_t* a, std::uint32_t b0, std::uint32_t b1, bool bfloat16, int depth,
              const char* file, int line) {
  Fragments argument{d, a, {b0, b1}, depth};
  current->collective(bfloat16 ? multiply_of_warp<true> : multiply_of_warp<false>, ~0U, &argument, "mma", file, line);
}

}  // namespace emu

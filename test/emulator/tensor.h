#pragma once

#include <type_traits>

#include "block.h"
#include "half.h"

// Tensor cores: the instructions of kernels/ptx.cuh, which describes the fragments.

namespace emu {

void load_matrices(std::uint32_t* registers, const void* row, int count, bool transposed, const char* file, int line);
void multiply(float* d, const std::uint32_t* a, std::uint32_t b0, std::uint32_t b1, bool bfloat16, int depth,
              const char* file, int line);

template <int count, bool transposed>
EMU_UNSEEN void ldmatrix(std::uint32_t (&r)[count], const void* row, const char* file, int line) {
  static_assert(count == 1 || count == 2 || count == 4);
  load_matrices(r, row, count, transposed, file, line);
}

template <class T>
EMU_UNSEEN void mma16816(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                         const char* file, int line) {
  static_assert(std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16>);
  multiply(d, a, b0, b1, std::is_same_v<T, __nv_bfloat16>, 16, file, line);
}

/// mma16816 with zeros for columns 8..15 of A.
EMU_UNSEEN inline void mma1688(float (&d)[4], std::uint32_t a0, std::uint32_t a1, std::uint32_t b, const char* file,
                               int line) {
  const std::uint32_t a[4] = {a0, a1, 0, 0};
  multiply(d, a, b, 0, false, 8, file, line);
}

}  // namespace emu

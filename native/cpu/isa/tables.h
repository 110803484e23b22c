#pragma once

#include "cpu/kernels.h"

namespace flow::cpu {

// One table per file of isa/. It exists if CMakeLists.txt compiles that file.
extern const Kernels sse2_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
extern const Kernels avx512_split_kernels;
extern const Kernels neon_kernels;

}  // namespace flow::cpu

#pragma once

// All inline PTX. Each wrapper has an emulated body, in test/emulator.
//
// Fragments of one warp; g = lane / 4 and t = lane % 4 throughout. A 32-bit register holds two 16-bit elements, the one
// of the lower index in its low half.
//
//   mma m16n8k16   D (16 x 8, float32) += A (16 x 16) B (16 x 8)
//     A  a[0] = A[g][2t, 2t+1]    a[1] = A[g+8][2t, 2t+1]    a[2] = A[g][2t+8, 2t+9]    a[3] = A[g+8][2t+8, 2t+9]
//     B  b[0] = B[2t, 2t+1][g]    b[1] = B[2t+8, 2t+9][g]
//     D  d[0], d[1] = D[g][2t, 2t+1]    d[2], d[3] = D[g+8][2t, 2t+1]
//
//   mma m16n8k8    the same with A 16 x 8: a[0], a[1], and B 8 x 8: b[0]
//
//   The D of one product, rounded, is the A of the next: columns 0..7 give a[0], a[1], columns 8..15 a[2], a[3].
//
//   ldmatrix       matrices of 8 x 8 16-bit elements. Lane i holds the address of row i % 8 of matrix i / 8 (16 bytes,
//                  aligned to 16); register j of every lane is element [g][2t, 2t+1] of matrix j. With .trans it is
//                  [2t, 2t+1][g]: a row-major B, stored as [k][n], becomes the fragment above.
//     A from row-major [m][k]: lane i addresses row i % 16, column 8 * (i / 16).
//     B of two n-tiles from row-major [n][k] (weights): lane i addresses row i % 8 + 8 * (i / 16), column
//       8 * (i / 8 % 2); registers 0, 1 are the first tile's, 2, 3 the second's.
//     B of two n-tiles from row-major [k][n] (.trans): lane i addresses row i % 16, column 8 * (i / 16); registers
//       as above.
//
// Before compute capability 8.0 there is no cp.async: plain loads and stores replace it. There is no mma of depth 16:
// two of depth 8 replace it. There is no mma for bfloat16.

#include "number.cuh"

#ifdef FLOW_EMULATED
#define PTX_HERE , const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define PTX_HERE_ONLY const char *file = __builtin_FILE(), int line = __builtin_LINE()
#else
#define PTX_HERE
#define PTX_HERE_ONLY
#endif

namespace flow::kernels {

#ifndef FLOW_EMULATED
DEVICE std::uint32_t shared_address(const void* p) { return static_cast<std::uint32_t>(__cvta_generic_to_shared(p)); }
#endif

/// 2^x with a relative error of 2^-22; zero below 2^-126, so that 2^-inf is zero.
DEVICE float fast_exp2(float x) {
#ifdef FLOW_EMULATED
  return exp2f(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
#endif
}

/// Whether the instructions of compute capability 8.0 are available.
DEVICE bool has_ampere() {
#if defined(FLOW_EMULATED)
  return emu::ampere();
#else
  return __CUDA_ARCH__ >= 800;
#endif
}

/// Copies 16 bytes from global to shared memory, or writes zeros if `valid` is false. Both addresses are aligned to 16.
/// The calling thread sees the bytes after the wait for their group, other threads after a barrier that follows the
/// wait. If `valid` is false, `from` is not read, but it must still be a global address.
DEVICE void cp_async16(void* to, const void* from, bool valid PTX_HERE) {
  if (!has_ampere()) {
    *static_cast<uint4*>(to) = valid ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
    return;
  }
#if defined(FLOW_EMULATED)
  emu::cp_async(to, from, 16, valid ? 16 : 0, file, line);
#elif __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)), "l"(from),
               "r"(valid ? 16 : 0));
#endif
}

/// Ends a group: all copies since the previous group.
DEVICE void cp_async_commit() {
#if defined(FLOW_EMULATED)
  emu::cp_commit();
#elif __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::);
#endif
}

/// Waits until at most the N newest groups of this thread are unfinished.
template <int N>
DEVICE void cp_async_wait(PTX_HERE_ONLY) {
#if defined(FLOW_EMULATED)
  emu::cp_wait(N, file, line);
#elif __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(N));
#endif
}

DEVICE void ldmatrix_x4(std::uint32_t (&r)[4], const void* row PTX_HERE) {
#if defined(FLOW_EMULATED)
  emu::ldmatrix<4, false>(r, row, file, line);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
#endif
}

DEVICE void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row PTX_HERE) {
#if defined(FLOW_EMULATED)
  emu::ldmatrix<4, true>(r, row, file, line);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)));
#endif
}

/// Two matrices instead of four, with the addresses of lanes 0..15.
DEVICE void ldmatrix_x2(std::uint32_t (&r)[2], const void* row PTX_HERE) {
#if defined(FLOW_EMULATED)
  emu::ldmatrix<2, false>(r, row, file, line);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row)));
#endif
}

/// d += a b with the fragments of m16n8k8, in float16.
DEVICE void mma1688(float (&d)[4], std::uint32_t a0, std::uint32_t a1, std::uint32_t b0 PTX_HERE) {
#if defined(FLOW_EMULATED)
  emu::mma1688(d, a0, a1, b0, file, line);
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};\n"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a0), "r"(a1), "r"(b0));
#endif
}

/// d += a b with the fragments of m16n8k16.
template <class T>
DEVICE void mma16816(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1 PTX_HERE) {
  if (!has_ampere()) {
    if constexpr (std::is_same_v<T, __half>) {
      mma1688(d, a[0], a[1], b0);
      mma1688(d, a[2], a[3], b1);
    } else {
      __trap();  // the host does not offer bfloat16 on such a device
    }
    return;
  }
#if defined(FLOW_EMULATED)
  emu::mma16816<T>(d, a, b0, b1, file, line);
#elif __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, __half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#endif
}

}  // namespace flow::kernels

#pragma once

#include <math.h>

#include <bit>
#include <cstdint>

#include "count.h"

// Device functions that the host's C library lacks. Approximate functions are exact here. So the tolerance of an
// emulated test must leave room for a GPU's few units in the last place.

#define EMU_MIN_MAX(T)                                \
  constexpr T min(T a, T b) { return b < a ? b : a; } \
  constexpr T max(T a, T b) { return a < b ? b : a; }
EMU_MIN_MAX(int)
EMU_MIN_MAX(unsigned)
EMU_MIN_MAX(long)
EMU_MIN_MAX(unsigned long)
EMU_MIN_MAX(long long)
EMU_MIN_MAX(unsigned long long)
#undef EMU_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }  // the number, if the other is NaN
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

// Functions that the unit of special functions computes in one instruction. They are inlined, so that the counter sees
// the kernel's own place.
#define EMU_SPECIAL __attribute__((always_inline)) inline
EMU_SPECIAL float __expf(float x) { return emu::count_special(), expf(x); }
EMU_SPECIAL float __exp10f(float x) { return emu::count_special(), powf(10.F, x); }
EMU_SPECIAL float __logf(float x) { return emu::count_special(), logf(x); }
EMU_SPECIAL float __log2f(float x) { return emu::count_special(), log2f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
EMU_SPECIAL float __sinf(float x) { return emu::count_special(), sinf(x); }
EMU_SPECIAL float __cosf(float x) { return emu::count_special(), cosf(x); }
EMU_SPECIAL float __tanhf(float x) { return emu::count_special(), tanhf(x); }
EMU_SPECIAL float __fdividef(float a, float b) { return emu::count_special(), a / b; }
EMU_SPECIAL float rsqrtf(float x) { return emu::count_special(), 1.F / sqrtf(x); }
EMU_SPECIAL float __frsqrt_rn(float x) { return emu::count_special(), 1.F / sqrtf(x); }
EMU_SPECIAL float __fsqrt_rn(float x) { return emu::count_special(), sqrtf(x); }
EMU_SPECIAL float __frcp_rn(float x) { return emu::count_special(), 1.F / x; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
// Never contracted into an fma: this is their purpose.
__attribute__((noinline)) inline float __fmul_rn(float a, float b) { return a * b; }
__attribute__((noinline)) inline float __fadd_rn(float a, float b) { return a + b; }
__attribute__((noinline)) inline float __fsub_rn(float a, float b) { return a - b; }
inline float __saturatef(float x) { return x > 0.F ? fminf(x, 1.F) : 0.F; }

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __float2int_rn(float x) { return static_cast<int>(nearbyintf(x)); }
inline int __float2int_rd(float x) { return static_cast<int>(floorf(x)); }
inline int __float2int_ru(float x) { return static_cast<int>(ceilf(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline unsigned __float2uint_rn(float x) { return static_cast<unsigned>(nearbyintf(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(std::uint64_t{a} * b >> 32); }

#ifdef FLOW_EMULATOR_COUNT
namespace emu {
EMU_SPECIAL float counted_exp2(float x) { return count_special(), exp2f(x); }
EMU_SPECIAL float counted_exp(float x) { return count_special(), expf(x); }
EMU_SPECIAL float counted_root(float x) { return count_special(), sqrtf(x); }
}  // namespace emu
#define exp2f(x) ::emu::counted_exp2(x)
#define expf(x) ::emu::counted_exp(x)
#define sqrtf(x) ::emu::counted_root(x)
#endif

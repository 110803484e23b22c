#pragma once

#include <bit>
#include <cstdint>

#ifdef __F16C__
#include <immintrin.h>
#endif

#include "language.h"

// __half and __nv_bfloat16 as in the CUDA headers, but only the parts that kernels may use: storage, minimum and
// maximum, and conversions that round to the nearest, ties to even. A NaN becomes 0x7fff, as on the device.

struct __half {
  std::uint16_t bits;
};
struct __nv_bfloat16 {
  std::uint16_t bits;
};
struct alignas(4) __half2 {
  __half x, y;
};
struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};

namespace emu {
#ifdef __aarch64__
using Float16 = __fp16;
#else
using Float16 = _Float16;
#endif
}  // namespace emu

inline __half __float2half_rn(float x) {
  if (x != x) return {0x7fff};
#ifdef __F16C__
  return {_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT)};
#else
  return {std::bit_cast<std::uint16_t>(static_cast<emu::Float16>(x))};
#endif
}
inline float __half2float(__half h) {
#ifdef __F16C__
  return _cvtsh_ss(h.bits);
#else
  return static_cast<float>(std::bit_cast<emu::Float16>(h.bits));
#endif
}

inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  if (x != x) return {0x7fff};
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  // Adds half of the last kept place, less one, plus one if that place is odd. The carry may reach infinity.
  return {static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline float __bfloat162float(__nv_bfloat16 b) { return std::bit_cast<float>(std::uint32_t{b.bits} << 16); }

inline __half __float2half(float x) { return __float2half_rn(x); }
inline __nv_bfloat16 __float2bfloat16(float x) { return __float2bfloat16_rn(x); }

inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half_rn(x), __float2half_rn(y)}; }
inline __half2 __float22half2_rn(float2 v) { return __floats2half2_rn(v.x, v.y); }
inline float2 __half22float2(__half2 v) { return {__half2float(v.x), __half2float(v.y)}; }
inline float __low2float(__half2 v) { return __half2float(v.x); }
inline float __high2float(__half2 v) { return __half2float(v.y); }

namespace emu {
/// The lesser of two numbers, or the greater; NaN if one is NaN.
inline __half lesser_or_nan(__half a, __half b) {
  const float x = __half2float(a), y = __half2float(b);
  return x != x || y != y ? __half{0x7fff} : x < y ? a : b;
}
inline __half greater_or_nan(__half a, __half b) {
  const float x = __half2float(a), y = __half2float(b);
  return x != x || y != y ? __half{0x7fff} : x > y ? a : b;
}
}  // namespace emu

inline __half2 __hmin2_nan(__half2 a, __half2 b) { return {emu::lesser_or_nan(a.x, b.x), emu::lesser_or_nan(a.y, b.y)}; }
inline __half2 __hmax2_nan(__half2 a, __half2 b) {
  return {emu::greater_or_nan(a.x, b.x), emu::greater_or_nan(a.y, b.y)};
}

inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
inline __nv_bfloat162 __float22bfloat162_rn(float2 v) { return __floats2bfloat162_rn(v.x, v.y); }
inline float2 __bfloat1622float2(__nv_bfloat162 v) { return {__bfloat162float(v.x), __bfloat162float(v.y)}; }
inline float __low2float(__nv_bfloat162 v) { return __bfloat162float(v.x); }
inline float __high2float(__nv_bfloat162 v) { return __bfloat162float(v.y); }

inline __half __ushort_as_half(std::uint16_t bits) { return {bits}; }
inline std::uint16_t __half_as_ushort(__half h) { return h.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(std::uint16_t bits) { return {bits}; }
inline std::uint16_t __bfloat16_as_ushort(__nv_bfloat16 b) { return b.bits; }

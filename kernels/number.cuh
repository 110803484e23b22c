#pragma once

// The element types of a GEMM's operands: float, __half, __nv_bfloat16. All arithmetic is float32; these functions
// convert.

#include <type_traits>

#include "kernel.cuh"

namespace flow::kernels {

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(__half x) { return __half2float(x); }
DEVICE float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
DEVICE T from_float(float x) {
  if constexpr (sizeof(T) == 4) {
    return x;
  } else if constexpr (std::is_same_v<T, __half>) {
    return __float2half_rn(x);
  } else {
    return __float2bfloat16_rn(x);
  }
}

/// Two numbers, rounded to T, in one 32-bit register; `a` is in the low half.
template <class T>
DEVICE std::uint32_t pack2(float a, float b) {
  static_assert(sizeof(T) == 2);
  union {
    T values[2];
    std::uint32_t bits;
  } both = {{from_float<T>(a), from_float<T>(b)}};
  return both.bits;
}

/// p[0] = a, p[1] = b; p is aligned to two elements.
template <class T>
DEVICE void store2(T* p, float a, float b) {
  if constexpr (sizeof(T) == 4) {
    *reinterpret_cast<float2*>(p) = make_float2(a, b);
  } else {
    *reinterpret_cast<std::uint32_t*>(p) = pack2<T>(a, b);
  }
}

/// Loads eight elements. `p` is aligned to 16 bytes.
template <class T>
DEVICE void load8(const T* p, float (&x)[8]) {
  if constexpr (sizeof(T) == 4) {
    const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
  } else {
    union {
      uint4 bits;
      T values[8];
    } all;
    all.bits = *reinterpret_cast<const uint4*>(p);
    for (int i = 0; i < 8; i++) x[i] = to_float(all.values[i]);
  }
}

template <class T>
DEVICE void store8(T* p, const float (&x)[8]) {
  if constexpr (sizeof(T) == 4) {
    reinterpret_cast<float4*>(p)[0] = make_float4(x[0], x[1], x[2], x[3]);
    reinterpret_cast<float4*>(p)[1] = make_float4(x[4], x[5], x[6], x[7]);
  } else {
    *reinterpret_cast<uint4*>(p) =
        make_uint4(pack2<T>(x[0], x[1]), pack2<T>(x[2], x[3]), pack2<T>(x[4], x[5]), pack2<T>(x[6], x[7]));
  }
}

DEVICE float sigmoid(float x) { return 1.F / (1.F + __expf(-x)); }
DEVICE float silu(float x) { return x / (1.F + __expf(-x)); }
/// The exact GELU, x Phi(x).
DEVICE float gelu(float x) { return 0.5F * x * (1.F + erff(x * 0.70710678F)); }

}  // namespace flow::kernels

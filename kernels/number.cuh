#pragma once

// The element types of a GEMM's operands: float, __half, __nv_bfloat16. All arithmetic is float32; these functions
// convert.
//
// float16 ends at 65504, and values of real weights do not. So a conversion to float16 saturates: 65504 with the sign
// instead of infinity. A NaN stays a NaN. A kernel that stores such values notes their magnitudes (LargestMagnitude)
// and reports the largest if it was beyond the range. The host then knows that the result is not right, and by how much
// the values must shrink.
//
// The cost for two values that are stored: two instructions that saturate (a minimum and a maximum of both at once;
// more before compute capability 8.0), and two that note. The report is a comparison and a branch per thread. Nothing
// is written unless a value was out of range: a frame in range moves no byte.

#include <type_traits>

#include "kernel.cuh"

namespace flow::kernels {

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(__half x) { return __half2float(x); }
DEVICE float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

/// Whether the range of T is less than that of float32, so that its values saturate.
template <class T>
constexpr bool saturates = std::is_same_v<T, __half>;
constexpr float largest_half = 65504.F;
constexpr float largest_float = 3.40282347e38F;

/// Two numbers, rounded to T, in one 32-bit register; `a` is in the low half. Beyond the range of T they are infinite.
template <class T>
DEVICE std::uint32_t pack2_unsaturated(float a, float b) {
  static_assert(sizeof(T) == 2);
  union {
    T values[2];
    std::uint32_t bits;
  } both;
  if constexpr (std::is_same_v<T, __half>) {
    both = {{__float2half_rn(a), __float2half_rn(b)}};
  } else {
    both = {{__float2bfloat16_rn(a), __float2bfloat16_rn(b)}};
  }
  return both.bits;
}

/// As pack2_unsaturated, but float16 saturates.
template <class T>
DEVICE std::uint32_t pack2(float a, float b) {
  if constexpr (saturates<T>) {
    union {
      std::uint32_t bits;
      __half2 values;
    } both = {pack2_unsaturated<T>(a, b)};
    const __half2 most = __floats2half2_rn(largest_half, largest_half);
    const __half2 least = __floats2half2_rn(-largest_half, -largest_half);
    both.values = __hmax2_nan(__hmin2_nan(both.values, most), least);
    return both.bits;
  } else {
    return pack2_unsaturated<T>(a, b);
  }
}

/// A number, rounded to T; float16 saturates.
template <class T>
DEVICE T from_float(float x) {
  if constexpr (sizeof(T) == 4) {
    return x;
  } else {
    union {
      std::uint32_t bits;
      T values[2];
    } both = {pack2<T>(x, 0.F)};
    return both.values[0];
  }
}

/// The largest magnitude of values that a thread stores.
class LargestMagnitude {
 public:
  /// A NaN does not count: it stays in the values, and is found where they end.
  DEVICE void note(float x) { largest_ = fmaxf(largest_, fabsf(x)); }
  /// For values that become T: nothing if T holds every float32.
  template <class T>
  DEVICE void note_as(float x) {
    if constexpr (saturates<T>) note(x);
  }
  /// Raises *excess, a float32 as its bits, to the largest magnitude if that is above `limit`.
  DEVICE void report(unsigned* excess, float limit) const {
    if (largest_ > limit) atomicMax(excess, __float_as_uint(largest_));
  }
  template <class T>
  DEVICE void report_as(unsigned* excess) const {
    if constexpr (saturates<T>) report(excess, largest_half);
  }

 private:
  float largest_ = 0.F;
};

/// Reports an infinite magnitude unless both numbers are finite. *excess is as in LargestMagnitude.
DEVICE void report_unless_finite(float a, float b, unsigned* excess) {
  if (!(fabsf(a) <= largest_float && fabsf(b) <= largest_float)) atomicMax(excess, __float_as_uint(INFINITY));
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

/// p[0..3] = y; p is aligned to four elements.
template <class T>
DEVICE void store4(T* p, float4 y) {
  if constexpr (sizeof(T) == 4) {
    *reinterpret_cast<float4*>(p) = y;
  } else {
    *reinterpret_cast<uint2*>(p) = make_uint2(pack2<T>(y.x, y.y), pack2<T>(y.z, y.w));
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

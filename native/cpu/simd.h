#pragma once

// Vectors of W floats on the compilers' vector extensions, so that one source serves every instruction set. A kernel is
// a template over W. Each file in isa/ compiles it with the flags and the W of one instruction set. The compiler splits
// a vector that is wider than the machine's registers, so the widest kernels can be tested on any machine.
//
// Everything here has internal linkage: the same names are compiled with different flags, and must never be merged.

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // no vector is passed to a function that is not inlined
#endif
#define FLOW_INLINE inline __attribute__((always_inline))

namespace flow::cpu {
namespace {

template <int W>
struct Vectors;

#define FLOW_VECTORS(W)                                                                 \
  template <>                                                                           \
  struct Vectors<W> {                                                                   \
    typedef float V __attribute__((vector_size(W * 4)));                                \
    typedef std::uint32_t I __attribute__((vector_size(W * 4)));                        \
    typedef float Unaligned __attribute__((vector_size(W * 4), aligned(4), may_alias)); \
  };
FLOW_VECTORS(4)
FLOW_VECTORS(8)
FLOW_VECTORS(16)
#undef FLOW_VECTORS

template <int W>
struct Simd {
  using V = typename Vectors<W>::V;
  using I = typename Vectors<W>::I;
  using Unaligned = typename Vectors<W>::Unaligned;

  static FLOW_INLINE V load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  static FLOW_INLINE void store(float* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
  static FLOW_INLINE V broadcast(float x) { return x - V{}; }
  /// The first n lanes; the others are zero.
  static FLOW_INLINE V load_partial(const float* p, int n) {
    V v{};
    for (int i = 0; i < n; i++) v[i] = p[i];
    return v;
  }
  static FLOW_INLINE void store_partial(float* p, V v, int n) {
    for (int i = 0; i < n; i++) p[i] = v[i];
  }
  static FLOW_INLINE V max(V a, V b) { return a > b ? a : b; }
  static FLOW_INLINE V min(V a, V b) { return a < b ? a : b; }
  static FLOW_INLINE V abs(V a) { return reinterpret_cast<V>(reinterpret_cast<I>(a) & 0x7fffffff); }

  static FLOW_INLINE V sqrt(V v) {
    if constexpr (W == 4) {
#if defined(__x86_64__)
      return _mm_sqrt_ps(v);
#else
      return vsqrtq_f32(v);
#endif
    }
#if defined(__AVX__)
    if constexpr (W == 8) return _mm256_sqrt_ps(v);
#endif
#if defined(__AVX512F__)
    if constexpr (W == 16) return _mm512_sqrt_ps(v);
#endif
    if constexpr (W > 4) {
      using Half = Simd<W / 2>;
      return join(Half::sqrt(Half::low(v)), Half::sqrt(Half::high(v)));
    }
  }

  static FLOW_INLINE float reduce_add(V v) {
    if constexpr (W == 4) {
      return (v[0] + v[2]) + (v[1] + v[3]);
    } else {
      using Half = Simd<W / 2>;
      return Half::reduce_add(Half::low(v) + Half::high(v));
    }
  }
  static FLOW_INLINE float reduce_max(V v) {
    if constexpr (W == 4) {
      const float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
      return a > b ? a : b;
    } else {
      using Half = Simd<W / 2>;
      return Half::reduce_max(Half::max(Half::low(v), Half::high(v)));
    }
  }
  /// One half of a vector that is twice as wide.
  template <class Wide>
  static FLOW_INLINE V low(const Wide& v) {
    V half;
    std::memcpy(&half, &v, sizeof half);
    return half;
  }
  template <class Wide>
  static FLOW_INLINE V high(const Wide& v) {
    V half;
    std::memcpy(&half, reinterpret_cast<const char*>(&v) + sizeof half, sizeof half);
    return half;
  }

  template <class Half>
  static FLOW_INLINE V join(const Half& low, const Half& high) {
    V v;
    std::memcpy(&v, &low, sizeof low);
    std::memcpy(reinterpret_cast<char*>(&v) + sizeof low, &high, sizeof high);
    return v;
  }

  /// 2^x for x <= 126; below -126 it is 2^-126, as good as zero. The integer part is added to the exponent. The
  /// fraction, in [-1/2, 1/2], goes through the polynomial of degree 5 with the smallest relative error: 8e-8, plus
  /// rounding.
  static FLOW_INLINE V exp2(V x) {
    x = max(x, broadcast(-126.f));
    const V shift = broadcast(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer, in the low bits
    const V rounded = x + shift;
    const V f = x - (rounded - shift);
    V p = broadcast(1.3276471e-3f);
    p = p * f + 9.6755410e-3f;
    p = p * f + 5.5507131e-2f;
    p = p * f + 2.4022120e-1f;
    p = p * f + 6.9314694e-1f;
    p = p * f + 1.0000001f;
    return reinterpret_cast<V>(reinterpret_cast<I>(p) + (reinterpret_cast<I>(rounded) << 23));
  }
  static FLOW_INLINE V exp(V x) { return exp2(min(x, broadcast(87.f)) * 1.44269504f); }
  static FLOW_INLINE V sigmoid(V x) { return 1.f / (1.f + exp(-x)); }
  static FLOW_INLINE V silu(V x) { return x / (1.f + exp(-x)); }
  static FLOW_INLINE V relu(V x) { return max(x, V{}); }

  /// erf(x) = 1 - exp(-x^2) t P(t) with t = 1 / (1 + x/2), for x >= 0 (the form of Numerical Recipes' erfc; absolute
  /// error 1.2e-7). Near zero that form loses relative accuracy, so the Taylor series is used there.
  static FLOW_INLINE V erf(V x) {
    const V a = abs(x);
    const V t = 1.f / (1.f + 0.5f * a);
    V p = broadcast(0.17087277f);
    p = p * t - 0.82215223f;
    p = p * t + 1.48851587f;
    p = p * t - 1.13520398f;
    p = p * t + 0.27886807f;
    p = p * t - 0.18628806f;
    p = p * t + 0.09678418f;
    p = p * t + 0.37409196f;
    p = p * t + 1.00002368f;
    p = p * t - 1.26551223f;
    const V far = 1.f - t * exp(max(p - a * a, broadcast(-80.f)));
    const V s = a * a;
    V q = broadcast(-7.5757576e-4f);  // (-1)^n / (n! (2n + 1)) times 2/sqrt(pi) below
    q = q * s + 4.6296296e-3f;
    q = q * s - 2.3809524e-2f;
    q = q * s + 1e-1f;
    q = q * s - 3.3333333e-1f;
    q = q * s + 1.f;
    const V near = 1.1283792f * a * q;
    const V positive = a < 0.5f ? near : far;
    return x < 0.f ? -positive : positive;
  }
  static FLOW_INLINE V gelu(V x) { return 0.5f * x * (1.f + erf(x * 0.70710678f)); }
};

}  // namespace
}  // namespace flow::cpu

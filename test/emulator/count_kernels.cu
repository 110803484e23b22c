#include "count_kernels.h"

#include "../../kernels/ptx.cuh"

// Kernels whose counts follow from their source: see test/native/count_test.cpp. A store that never happens keeps the
// compiler from dropping a load.

using namespace flow::kernels;

// ---- shared memory -----------------------------------------------------------------------------------------------

template <class T>
DEVICE void load_word(const CountParams& p) {
  SHARED_MEMORY(volatile T, s);
  const T value = s[static_cast<int>(threadIdx.x) * p.stride + p.offset];
  if (p.times < 0) *reinterpret_cast<T*>(p.out) = value;
}

template <class T>
DEVICE void load_vector(const CountParams& p) {
  SHARED_MEMORY(T, s);
  const T value = s[static_cast<int>(threadIdx.x) * p.stride + p.offset];
  if (p.times < 0) *reinterpret_cast<T*>(p.out) = value;
}

KERNEL(count_shared_load, CountParams, 1024, 1) { load_word<float>(p); }
KERNEL(count_shared_load_half, CountParams, 1024, 1) { load_word<std::uint16_t>(p); }
KERNEL(count_shared_load2, CountParams, 1024, 1) { load_vector<float2>(p); }
KERNEL(count_shared_load4, CountParams, 1024, 1) { load_vector<float4>(p); }

KERNEL(count_shared_store, CountParams, 1024, 1) {
  SHARED_MEMORY(float, s);
  s[static_cast<int>(threadIdx.x) * p.stride + p.offset] = 1.F;
}

KERNEL(count_shared_atomic, CountParams, 1024, 1) {
  SHARED_MEMORY(float, s);
  atomicAdd(s + static_cast<int>(threadIdx.x) * p.stride, 1.F);
}

/// Rows of 16 bytes, `stride` floats apart.
KERNEL(count_ldmatrix, CountParams, 32, 1) {
  SHARED_MEMORY(float, s);
  std::uint32_t r[4];
  for (int i = 0; i < p.times; i++) ldmatrix_x4(r, s + static_cast<int>(threadIdx.x) * p.stride);
}

KERNEL(count_ldmatrix2, CountParams, 32, 1) {
  SHARED_MEMORY(float, s);
  std::uint32_t r[2];
  ldmatrix_x2(r, s + static_cast<int>(threadIdx.x) * p.stride);
}

/// Rows of 128 bytes in a layout of gemm_core.cuh and attention_warp.cuh: chunk c of row r is stored at c XOR r % 8.
KERNEL(count_ldmatrix_swizzled, CountParams, 32, 1) {
  SHARED_MEMORY(float, s);
  const int row = static_cast<int>(threadIdx.x) % 16, chunk = static_cast<int>(threadIdx.x) / 16;
  std::uint32_t r[4];
  ldmatrix_x4(r, s + row * 32 + (chunk ^ row % 8) * 4);
}

// ---- global memory -----------------------------------------------------------------------------------------------

template <class T>
DEVICE void load_global(const CountParams& p) {
  const T* const from = reinterpret_cast<const T*>(p.in + p.offset) + static_cast<int>(threadIdx.x) * p.stride;
  for (int i = 0; i < p.times; i++) {
    const T value = __ldcv(from);
    if (p.stride < 0) *reinterpret_cast<T*>(p.out) = value;
  }
}

KERNEL(count_load, CountParams, 1024, 1) { load_global<float>(p); }
KERNEL(count_load_byte, CountParams, 1024, 1) { load_global<unsigned char>(p); }

KERNEL(count_load4, CountParams, 1024, 1) {
  const float4 value = reinterpret_cast<const float4*>(p.in)[static_cast<int>(threadIdx.x) * p.stride];
  if (p.stride < 0) *reinterpret_cast<float4*>(p.out) = value;
}

/// The first half of a sector for each lane, then the second.
KERNEL(count_load_halves, CountParams, 1024, 1) {
  const float4* const from = reinterpret_cast<const float4*>(p.in) + 2 * static_cast<int>(threadIdx.x);
  const float4 first = from[0], second = from[1];
  if (p.stride < 0) *reinterpret_cast<float4*>(p.out) = first, *reinterpret_cast<float4*>(p.out) = second;
}

KERNEL(count_store, CountParams, 1024, 1) {
  for (int i = 0; i < p.times; i++) p.out[static_cast<int>(threadIdx.x) * p.stride + p.offset + 1024 * i] = 1.F;
}

KERNEL(count_atomic, CountParams, 1024, 1) { atomicAdd(p.out + static_cast<int>(threadIdx.x) * p.stride, 1.F); }

/// Copies 16 bytes a lane; lanes from `offset` on copy zeros.
KERNEL(count_cp_async, CountParams, 1024, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  for (int i = 0; i < p.times; i++) cp_async16(s + 4 * t, p.in + 4 * t, t < p.offset);
  cp_async_commit();
  cp_async_wait<0>();
}

// ---- divergence --------------------------------------------------------------------------------------------------

/// Lane i loads i % 4 times, then all lanes load once.
KERNEL(count_loops, CountParams, 32, 1) {
  const int t = threadIdx.x;
  float sum = 0;
  for (int i = 0; i < t % 4; i++) sum += p.in[32 * i + t];
  sum += p.in[128 + t];
  if (sum < 0) p.out[t] = sum;
}

/// Even lanes store to one place in the code, odd lanes to another.
KERNEL(count_branches, CountParams, 32, 1) {
  const int t = threadIdx.x;
  if (t % 2 == 0) {
    p.out[t] = 1.F;
  } else {
    p.out[64 + t] = 2.F;
  }
}

/// The lanes skip different rounds of a loop. A shuffle in each round keeps the rounds apart.
KERNEL(count_rounds, CountParams, 32, 1) {
  const int t = threadIdx.x;
  float x = 0;
  for (int i = 0; i < 4; i++) {
    if (t % 4 != i) x += p.in[32 * i + t];
    x = __shfl_xor_sync(~0U, x, 1);
  }
  if (x < 0) p.out[t] = x;
}

// ---- instructions ------------------------------------------------------------------------------------------------

KERNEL(count_instructions, CountParams, 128, 1) {
  const int t = threadIdx.x;
  float d[4] = {};
  const std::uint32_t a[4] = {};
  for (int i = 0; i < p.times; i++) {
    mma16816<__half>(d, a, 0, 0);
    mma16816<__nv_bfloat16>(d, a, 0, 0);
    mma1688(d, 0, 0, 0);
    __syncthreads();
  }
  float x = p.in[t];
  x += __shfl_xor_sync(~0U, x, 1);
  x += __shfl_down_sync(~0U, x, 1);
  x += static_cast<float>(__ballot_sync(~0U, x > 0));
  x += fast_exp2(x) + __expf(x);
  if (t % 32 < 8) x += rsqrtf(x);
  p.out[t] = x;
}

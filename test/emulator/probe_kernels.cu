#include "probe_kernels.h"

#include "../../kernels/ptx.cuh"

// Every kernel here is right without its bug. With the bug it is wrong in one way that the emulator must notice: see
// test/native/emulator_test.cpp.

using namespace flow::kernels;

KERNEL(probe_barrier, ProbeParams, 128, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  s[t] = p.in[t];
  if (!p.bug) __syncthreads();
  p.out[t] = s[127 - t];
}

KERNEL(probe_warp, ProbeParams, 128, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  s[t] = p.in[t];
  const float other = __shfl_xor_sync(~0U, p.in[t], 1);  // all lanes wait here, but this does not order memory
  if (!p.bug) __syncwarp();
  p.out[t] = s[t ^ 1] + other;
}

KERNEL(probe_async_wait, ProbeParams, 128, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  if (t < 32) cp_async16(s + 4 * t, p.in + 4 * t, true);
  cp_async_commit();
  if (!p.bug) cp_async_wait<0>();
  __syncthreads();
  p.out[t] = s[127 - t];
}

/// Nothing says which of two copies to the same place arrives last.
KERNEL(probe_async_twice, ProbeParams, 32, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  for (int half = 0; half < 2; half++) {
    cp_async16(s + 4 * t, p.in + 4 * (t % 16) + 64 * half, true);
    cp_async_commit();
    if (!p.bug) cp_async_wait<0>();
  }
  cp_async_wait<0>();
  p.out[t] = s[4 * t];
}

KERNEL(probe_async_over, ProbeParams, 32, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  cp_async16(s + 4 * t, p.in + 4 * t, true);
  cp_async_commit();
  if (!p.bug) cp_async_wait<0>();
  s[4 * t] = 1;
  cp_async_wait<0>();
  p.out[t] = s[4 * t] + s[4 * t + 1];
}

KERNEL(probe_async_reuse, ProbeParams, 64, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x, other = (t + 32) % 64;
  float sum = 0;
  for (int half = 0; half < 2; half++) {
    cp_async16(s + 4 * t, p.in + 4 * (t % 16) + 64 * half, true);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    sum += s[4 * other] * static_cast<float>(half + 1);
    if (!p.bug) __syncthreads();
  }
  p.out[t] = sum;
}

/// The 16 bytes of a lane's row, as ldmatrix gives them to the warp.
DEVICE float first_of_matrices(const float* rows) {
  std::uint32_t r[4];
  ldmatrix_x4(r, rows + 4 * lane_id());
  return static_cast<float>((r[0] ^ r[1] ^ r[2] ^ r[3]) % 4096);
}

KERNEL(probe_matrix_wait, ProbeParams, 64, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  cp_async16(s + 4 * t, p.in + 4 * (t % 32), true);
  cp_async_commit();
  if (!p.bug) cp_async_wait<0>();
  __syncthreads();
  p.out[t] = first_of_matrices(s + 128 * (1 - warp_id()));
}

/// Each warp fills what the other one has read.
KERNEL(probe_matrix_reuse, ProbeParams, 64, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  float sum = 0;
  for (int half = 0; half < 2; half++) {
    cp_async16(s + 4 * t, p.in + 4 * (t % 16) + 64 * half, true);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    sum += first_of_matrices(s + 128 * (1 - warp_id())) * static_cast<float>(half + 1);
    if (!p.bug) __syncthreads();
  }
  p.out[t] = sum;
}

/// Each lane fills the row that another lane of its warp has read.
KERNEL(probe_matrix_lanes, ProbeParams, 32, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  cp_async16(s + 4 * t, p.in + 4 * t, true);
  cp_async_commit();
  cp_async_wait<0>();
  __syncwarp();
  const float x = first_of_matrices(s);
  if (!p.bug) __syncwarp();
  cp_async16(s + 4 * (t ^ 1), p.in + 4 * t, true);
  cp_async_commit();
  cp_async_wait<0>();
  __syncwarp();
  p.out[t] = x + first_of_matrices(s);
}

KERNEL(probe_global_write, ProbeParams, 128, 1) {
  const int t = threadIdx.x;
  p.out[t + (p.bug && t == 127 ? 1 : 0)] = p.in[t];
}

KERNEL(probe_global_write_before, ProbeParams, 128, 1) {
  const int t = threadIdx.x;
  p.out[t - (p.bug && t == 0 ? 2 : 0)] = p.in[t];
}

KERNEL(probe_global_read, ProbeParams, 128, 1) {
  const int t = threadIdx.x;
  p.out[t] = p.in[t + (p.bug ? 1 : 0)];
}

KERNEL(probe_shared_write, ProbeParams, 128, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  s[t + (p.bug && t == 127 ? 3 : 0)] = p.in[t];
  __syncthreads();
  p.out[t] = t == 0 ? s[0] : s[127 - t];
}

KERNEL(probe_shared_read, ProbeParams, 128, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  s[t] = p.in[t];
  __syncthreads();
  p.out[t] = s[p.bug ? t + 1 : 127 - t];
}

KERNEL(probe_uninitialised, ProbeParams, 128, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  if (t != 5 || !p.bug) s[t] = p.in[t];
  __syncthreads();
  p.out[t] = s[127 - t];
}

KERNEL(probe_divergent_barrier, ProbeParams, 128, 1) {
  const int t = threadIdx.x;
  if (p.bug) {
    if (t < 64) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  } else {
    __syncthreads();
  }
  p.out[t] = p.in[t];
}

KERNEL(probe_divergent_warp, ProbeParams, 128, 1) {
  const int t = threadIdx.x;
  float x = p.in[t];
  if (!p.bug || t % 32 < 16) x += __shfl_xor_sync(~0U, x, 1);
  __syncthreads();
  p.out[t] = x;
}

KERNEL(probe_early_exit, ProbeParams, 128, 1) {
  const int t = threadIdx.x;
  if (p.bug && t == 77) return;
  __syncthreads();
  p.out[t] = p.in[t];
}

KERNEL(probe_misaligned, ProbeParams, 32, 1) {
  SHARED_MEMORY(__half, s);
  const int t = threadIdx.x;
  for (int i = t; i < 256; i += 32) s[i] = __float2half_rn(p.in[i % 128]);
  __syncwarp();
  std::uint32_t r[2];
  ldmatrix_x2(r, s + 8 * (t % 16) + (p.bug && t == 3 ? 2 : 0));
  p.out[t] = static_cast<float>(r[0] % 1024 + r[1] % 1024);
}

KERNEL(probe_outside_copy, ProbeParams, 32, 1) {
  SHARED_MEMORY(float, s);
  const int t = static_cast<int>(threadIdx.x);
  cp_async16(s + 4 * t, p.bug ? p.in + (1 << 24) : p.in, false);
  cp_async_commit();
  cp_async_wait<0>();
  p.out[t] = s[4 * t];
}

KERNEL(probe_misaligned_copy, ProbeParams, 32, 1) {
  SHARED_MEMORY(float, s);
  const int t = threadIdx.x;
  cp_async16(s + 4 * t, p.in + (p.bug ? 1 : 0), true);
  cp_async_commit();
  cp_async_wait<0>();
  p.out[t] = s[4 * t];
}

KERNEL(probe_sum, ProbeParams, 128, 1) {
  if (p.bug) {
    p.out[0] += p.in[threadIdx.x];
  } else {
    atomicAdd(p.out, p.in[threadIdx.x]);
  }
}

KERNEL(probe_blocks, ProbeParams, 64, 1) {
  const int i = 64 * (p.bug ? 0 : blockIdx.x) + threadIdx.x;
  p.out[i] = p.in[i];
}

/// The last block to arrive adds up the partial sums of all blocks. out: a partial sum per block, the sum, a counter.
KERNEL(probe_last_block, ProbeParams, 64, 1) {
  SHARED_MEMORY(unsigned, last);
  const unsigned blocks = gridDim.x;
  p.out[64 * blockIdx.x + threadIdx.x] = p.in[threadIdx.x] * static_cast<float>(blockIdx.x + 1);
  if (!p.bug) __threadfence();
  __syncthreads();
  auto* const arrived = reinterpret_cast<unsigned*>(p.out + 64 * blocks + 64);
  if (threadIdx.x == 0) *last = atomicInc(arrived, blocks - 1) == blocks - 1;
  __syncthreads();
  if (*last == 0) return;
  float sum = 0;
  for (unsigned b = 0; b < blocks; b++) sum += __ldcg(p.out + 64 * b + threadIdx.x);
  p.out[64 * blocks + threadIdx.x] = sum;
}

/// Of a launch that may begin before others are done: without its wait, or with it after a read or a write.
EARLY_KERNEL(probe_no_wait, ProbeParams, 128, 1) {
  if (!p.bug) flow::kernels::follow_previous();
}

EARLY_KERNEL(probe_early_read, ProbeParams, 128, 1) {
  const float early = p.in[threadIdx.x] + (p.bug ? p.out[threadIdx.x] : 0.F);
  flow::kernels::follow_previous();
  p.out[threadIdx.x] = early;
}

EARLY_KERNEL(probe_early_write, ProbeParams, 128, 1) {
  if (!p.bug) flow::kernels::follow_previous();
  p.out[threadIdx.x] = p.in[threadIdx.x];
  if (p.bug) flow::kernels::follow_previous();
}

template <class T>
DEVICE void multiply(const TensorParams& p, bool transposed) {
  SHARED_MEMORY(T, s);
  T *const a = s, *const b = s + 256;
  const int lane = threadIdx.x;
  for (int i = lane; i < 256; i += 32) a[i] = static_cast<const T*>(p.a)[i];
  for (int i = lane; i < 128; i += 32) b[i] = static_cast<const T*>(p.b)[i];
  __syncwarp();
  std::uint32_t fa[4], fb[2];
  ldmatrix_x4(fa, a + lane % 16 * 16 + lane / 16 * 8);
  if (transposed) {  // b is 8 x 16, the layout that the instruction needs
    ldmatrix_x2(fb, b + lane % 8 * 16 + lane / 8 % 2 * 8);
  } else {  // b is 16 x 8: the second pair of matrices repeats the first
    std::uint32_t both[4];
    ldmatrix_x4_trans(both, b + lane % 16 * 8);
    fb[0] = both[0], fb[1] = both[1];
  }
  float d[4] = {};
  mma16816<T>(d, fa, fb[0], fb[1]);
  for (int i = 0; i < 4; i++) p.d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

KERNEL(probe_mma_f16, TensorParams, 32, 1) { multiply<__half>(p, false); }
KERNEL(probe_mma_f16_transposed, TensorParams, 32, 1) { multiply<__half>(p, true); }
KERNEL(probe_mma_bf16, TensorParams, 32, 1) { multiply<__nv_bfloat16>(p, false); }

/// The values that every lane gets from the others; 32 values of each kind.
KERNEL(probe_lanes, ProbeParams, 32, 1) {
  const int t = threadIdx.x;
  const float x = p.in[t];
  p.out[t] = __shfl_sync(~0U, x, 5);
  p.out[32 + t] = __shfl_xor_sync(~0U, x, 3);
  p.out[64 + t] = __shfl_down_sync(~0U, x, 4);
  p.out[96 + t] = __shfl_up_sync(~0U, x, 4, 16);
  p.out[128 + t] = static_cast<float>(__ballot_sync(~0U, t % 3 == 0) >> 8);
  p.out[160 + t] = static_cast<float>(__any_sync(~0U, t == 9) + 2 * __all_sync(~0U, t != 9) + 4 * __all_sync(~0U, 1));
  p.out[192 + t] = static_cast<float>(__syncthreads_count(t < 7) + 100 * __syncthreads_and(t < 32) +
                                      1000 * __syncthreads_or(t == 31) + 2000 * __syncthreads_or(0));
}

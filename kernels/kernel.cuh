#pragma once

// Every kernel file includes this file first. nvcc gets CUDA; any other C++ compiler gets the emulator (test/emulator).
// So the same source runs on a GPU and on a machine without one.
//
// A kernel takes one struct by value. The header beside the kernel declares the struct, and the host includes that
// header. A kernel is extern "C", so that the host finds it by name. All shared memory is dynamic; the host sets its
// size.

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define KERNEL(name, Params, threads, min_blocks) \
  extern "C" __global__ void __launch_bounds__(threads, min_blocks) name(const __grid_constant__ Params p)
/// `T* name` points to the block's dynamic shared memory.
#define SHARED_MEMORY(T, name)                                          \
  extern __shared__ __align__(1024) unsigned char flow_shared_memory[]; \
  T* name = reinterpret_cast<T*>(flow_shared_memory)

#else

#include "emulator.h"  // defines FLOW_EMULATED, KERNEL, SHARED_MEMORY, and the CUDA language

#endif

#define DEVICE __device__ __forceinline__

namespace flow::kernels {

constexpr int warp_size = 32;

DEVICE int lane_id() { return static_cast<int>(threadIdx.x) % warp_size; }
DEVICE int warp_id() { return static_cast<int>(threadIdx.x) / warp_size; }

template <class T>
DEVICE constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace flow::kernels

#pragma once

// Every kernel file includes this file first. nvcc gets CUDA; any other C++ compiler gets the emulator (test/emulator).
// So the same source runs on a GPU and on a machine without one.
//
// A kernel takes one struct by value. The header beside the kernel declares the struct, and the host includes that
// header. A kernel is extern "C", so that the host finds it by name. All shared memory is dynamic; the host sets its
// size.
//
// From compute capability 9.0 on, the host may launch a kernel before the kernels before it are done (programmatic
// dependent launch). Its blocks then take their places while those of the kernel before still run, which hides the
// launch. So a kernel must wait, in `follow_previous`, before it reads what other kernels write, and before it writes.
// KERNEL does that first. Every kernel must wait, even if it reads no results: the next one waits for
// it alone, and so for all before it. What a kernel of the frame writes must not be read by __ldg or through
// __restrict__, which need memory that nobody writes while the kernel runs.

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define EARLY_KERNEL(name, Params, threads, min_blocks) \
  extern "C" __global__ void __launch_bounds__(threads, min_blocks) name(const __grid_constant__ Params p)
/// `T* name` points to the block's dynamic shared memory.
#define SHARED_MEMORY(T, name)                                          \
  extern __shared__ __align__(1024) unsigned char flow_shared_memory[]; \
  T* name = reinterpret_cast<T*>(flow_shared_memory)

#else

#include "emulator.h"  // defines FLOW_EMULATED, EARLY_KERNEL, SHARED_MEMORY, and the CUDA language

#endif

#define DEVICE __device__ __forceinline__

/// A kernel; its body follows and finds its parameters in `p`. An EARLY_KERNEL is the same without the wait.
#define KERNEL(name, Params, threads, min_blocks)   \
  static DEVICE void name##_body(const Params& p);  \
  EARLY_KERNEL(name, Params, threads, min_blocks) { \
    ::flow::kernels::follow_previous();             \
    name##_body(p);                                 \
  }                                                 \
  static DEVICE void name##_body([[maybe_unused]] const Params& p)

namespace flow::kernels {

constexpr int warp_size = 32;

/// Waits until the kernels before this one are done and their results are visible. Then lets the blocks of the next
/// kernel take free places. That comes after the wait, so no more than two kernels are under way.
DEVICE void follow_previous() {
#if defined(FLOW_EMULATED) || __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

DEVICE int lane_id() { return static_cast<int>(threadIdx.x) % warp_size; }
DEVICE int warp_id() { return static_cast<int>(threadIdx.x) / warp_size; }

template <class T>
DEVICE constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace flow::kernels

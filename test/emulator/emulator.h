#pragma once

// CUDA for a machine without a GPU. kernels/kernel.cuh includes this file when the compiler is not nvcc. A kernel is a
// host function here, each of its threads is a fiber, and a launch runs block after block:
//
//   registry.h    kernels by name          block.h        the threads of a block, and whose turn it is
//   launch.h      a grid of blocks         fiber.h        stacks and the switch between them
//   warp.h        barriers, shuffles       async_copy.h   cp.async
//   atomics.h     atomics and fences       tensor.h       ldmatrix and mma
//   half.h        16-bit numbers           instrumented.h the accesses of kernels, in the builds that see them:
//   race.h        the race detector        count.h        what a launch does, counted
//
// driver/ makes a CUDA driver of this. The environment variables are those of the driver (driver/device.h,
// driver/faults.h, driver/queues.h, driver/trace.h) and:
//
//   EMULATOR_SCHEDULE   forward, reverse, or the seed of a random order of threads and blocks; read at every launch
//   EMULATOR_THREADS    threads of the host that run blocks; read at every launch
//
// The emulator is stricter than CUDA. It reports an error if a thread returns before a barrier that others reach, and
// if threads reach one barrier or warp operation on different lines. Blocks need not run at the same time, so a block
// must not wait for another.

#define FLOW_EMULATED 1

#include "language.h"
//
#include "arithmetic.h"
#include "async_copy.h"
#include "atomics.h"
#include "block.h"
#include "half.h"
#include "launch.h"
#include "memory_access.h"
#include "registry.h"
#include "tensor.h"
#include "warp.h"

namespace emu {
EMU_UNSEEN inline bool ampere() { return current->ampere; }
EMU_UNSEEN inline const uint3& thread_index() { return current->fiber->index; }
EMU_UNSEEN inline const uint3& block_index() { return current->index; }
EMU_UNSEEN inline const dim3& block_dim() { return current->block_dim; }
EMU_UNSEEN inline const dim3& grid_dim() { return current->grid_dim; }
EMU_UNSEEN inline unsigned char* shared_memory() { return current->shared; }
EMU_UNSEEN inline void follow_previous() { current->fiber->follows = true; }
[[noreturn]] inline void trap(EMU_HERE) { current->fail(format("__trap at %s:%d", file, line)); }
}  // namespace emu

#define threadIdx (::emu::thread_index())
#define blockIdx (::emu::block_index())
#define blockDim (::emu::block_dim())
#define gridDim (::emu::grid_dim())
#define warpSize 32
#define __trap() ::emu::trap()
// Launches run one after the other here, so there is nothing to wait for. What a thread does before its wait is judged
// by Block and by the race detector.
#define cudaGridDependencySynchronize() ::emu::follow_previous()
#define cudaTriggerProgrammaticLaunchCompletion() static_cast<void>(0)

#define SHARED_MEMORY(T, name) T* name = reinterpret_cast<T*>(::emu::shared_memory())

/// Opens the body of a kernel, whose parameters are `p`, and registers the kernel under its name.
#define EARLY_KERNEL(name, Params, threads, min_blocks)                                                          \
  static void name##_kernel(const Params& p);                                                                    \
  static const ::emu::Registration name##_registration(                                                          \
      #name, sizeof(Params), threads, [](const void* all) { name##_kernel(*static_cast<const Params*>(all)); }); \
  static void name##_kernel([[maybe_unused]] const Params& p)

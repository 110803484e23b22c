#pragma once

#include <cstdlib>

#include "check.h"
#include "cuda/image_choice.h"
#include "ops/error.h"

namespace flow {

/// Whether there is a GPU to test on: the emulated one, unless the environment names a driver or the program was built
/// without the emulator.
inline bool cuda_is_here() {
#ifdef FLOW_EMULATOR
  setenv("DINOV3_FLOW_CUDA_DRIVER", FLOW_EMULATOR, 0);
  setenv("EMULATOR_SMS", "132", 0);  // enough for attention to split its keys
#endif
  try {
    return !cuda::devices().empty();
  } catch (const Error&) {
    return false;
  }
}

/// The compute capability that the GPU's kernels are compiled for, 80 for 8.0.
inline int kernels_capability() { return cuda::capability_of(cuda::choose_images(*cuda::Context::of(0))); }

/// Skips a test if there is no GPU to run it on.
inline void need_cuda() { check::need(cuda_is_here(), "a GPU or the emulated driver"); }

}  // namespace flow

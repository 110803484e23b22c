// Kernels of examples/. They are plain CUDA, without KERNEL and its header.

#include "emulator.h"
//
#include "../../examples/native-head/nearest.cu"

static const emu::Registration nearest_registration("nearest", sizeof(nearest_parameters), 256, [](const void* all) {
  nearest(*static_cast<const nearest_parameters*>(all));
});

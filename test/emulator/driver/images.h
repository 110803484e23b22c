#pragma once

#include <string_view>

#include "cuda/driver_api.h"
#include "device.h"

namespace emu {

struct Judgement {
  flow::cuda::CUresult result;
  int capability = 0;  // that the accepted code was compiled for, 80 for 8.0

  Judgement(flow::cuda::CUresult error) : result(error) {}  // NOLINT(google-explicit-constructor)
  Judgement(flow::cuda::CUresult judged, int number) : result(judged), capability(number) {}
};

/// What cuModuleLoadData of a driver says to an image, from the image's headers alone. An image is a cubin (an ELF
/// file), PTX (text), or a fatbin with several of both. `driver_version` is 11040 for CUDA 11.4.
///
/// Machine code runs on GPUs of its own major capability and no lower minor one; on a Tegra only its own. A driver
/// reads the ELF ABI versions of its time: 7 is that of CUDA 11 and 12, 8 came with CUDA 13. PTX runs on its own
/// capability and all later ones, if the driver's compiler knows its version of the language. Zstandard compression
/// needs a driver for CUDA 12.4.
Judgement judge_image(const void* image, int driver_version, device::Capability capability);

/// Whether an image for a compute capability, 80 for 8.0, holds a kernel of this library. Those for 7.5 have no wide
/// tiles (kernels/gemm.h).
bool image_holds(std::string_view kernel, int capability);

}  // namespace emu

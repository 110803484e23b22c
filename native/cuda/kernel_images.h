#pragma once

#include <cstddef>
#include <span>

namespace flow::cuda {

/// The compiled kernels of one file of kernels/, for cuModuleLoadData. In a build without nvcc there is one, and it is
/// empty.
struct KernelImage {
  const char* name;
  const void* data;
  std::size_t size;
};

std::span<const KernelImage> kernel_images();

/// What the kernels were compiled for, "sm_90a sm_120 compute_120": instructions of a GPU, or PTX for that GPU and all
/// later ones. Empty where there are no kernels.
const char* built_architectures();

/// The version of the compiler, as the driver counts: 13000 is CUDA 13.0. 0 where there are no kernels.
int built_version();

}  // namespace flow::cuda

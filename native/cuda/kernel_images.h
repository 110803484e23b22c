#pragma once

#include <cstddef>
#include <span>

namespace flow::cuda {

/// The compiled kernels of one file of kernels/, for cuModuleLoadData. A build without nvcc has a single, empty image.
struct KernelImage {
  const char* name;
  const void* data;
  std::size_t size;
};

std::span<const KernelImage> kernel_images();

/// The architectures of the compiled kernels, "sm_90a sm_120 compute_120". sm_ is machine code of a GPU, compute_ is
/// PTX for that GPU and all later ones. Empty if there are no kernels.
const char* built_architectures();

/// The compiler's CUDA version in the driver's format: 13000 is CUDA 13.0. 0 if there are no kernels.
int built_version();

}  // namespace flow::cuda

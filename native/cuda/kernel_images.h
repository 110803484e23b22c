#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace flow::cuda {

/// The compiled kernels of one file of kernels/, for cuModuleLoadData.
struct KernelImage {
  const char* name;
  const void* data;
  std::size_t size;
};

/// All kernels, compiled for one architecture. A build has several, and a GPU uses one of them (image_choice.h).
struct ImageSet {
  const char*
      architecture;  // "sm_86" is machine code for compute capability 8.6; "compute_80" is PTX for 8.0 and later
  int driver;        // the oldest driver that reads it, in the format of cuDriverGetVersion: 11040 is CUDA 11.4
  std::span<const KernelImage> images;
};

/// The sets of this build. A build without nvcc has one, with a single, empty image.
std::span<const ImageSet> image_sets();

/// "sm_86 sm_90 compute_80"
std::string architectures(std::span<const ImageSet> sets);

/// The architectures of this build's kernels. Empty if there are no kernels.
std::string built_architectures();

}  // namespace flow::cuda

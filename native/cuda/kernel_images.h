#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace flow::cuda {

/// The compiled kernels of one file of kernels/.
struct KernelImage {
  const char* name;
  const void* data;
  std::size_t size;
  std::size_t unpacked_size = 0;  // if `data` is packed (lzma.h)
};

/// The image for cuModuleLoadData, with a zero byte behind it, which PTX needs.
std::vector<unsigned char> unpack(const KernelImage& image);

/// All kernels, compiled for one architecture. A build has several, and a GPU uses one of them (image_choice.h).
struct ImageSet {
  /// "sm_86" is machine code for compute capability 8.6; "compute_80" is PTX for 8.0 and later.
  const char* architecture;
  /// The oldest driver that reads it, in the format of cuDriverGetVersion: 11040 is CUDA 11.4.
  int driver;
  std::span<const KernelImage> images;
};

/// The sets of this build. Those of a build without nvcc have one empty image each. Throws Error(device) if the file
/// that they are in cannot be used (image_file.h).
std::span<const ImageSet> image_sets();

/// "sm_86 sm_90 compute_80"
std::string architectures(std::span<const ImageSet> sets);

/// The architectures of this build's kernels. Empty if there are no kernels, or not the file that they are in.
std::string built_architectures();

}  // namespace flow::cuda

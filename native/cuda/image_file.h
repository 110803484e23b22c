#pragma once

#include <string>
#include <vector>

#include "cuda/kernel_images.h"

namespace flow::cuda {

/// The images of a file that tools/cmake/pack_images.py wrote. It is mapped into memory, and stays so.
struct ImageFile {
  std::vector<KernelImage> images;
  std::vector<ImageSet> sets;
  std::string error = {};  // why there are none

  /// `id` must be the file's. Throws nothing: see `error`.
  static ImageFile read(const std::string& path, const std::string& id);
};

/// kernels.bin in the folder of the addon, or of the program, that contains this code, or else one folder up.
std::string image_file_path();

}  // namespace flow::cuda

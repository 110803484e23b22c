#include "cuda/kernel_images.h"

// If there is a CUDA compiler, tools/cmake/kernels.cmake defines FLOW_KERNEL_LIST: a file of one
// FLOW_KERNEL_IMAGE(name, path) per kernels/*.cu.

namespace flow::cuda {

#ifdef FLOW_KERNEL_LIST

// The assembler reads the files, which is quick for files of any size.
#define FLOW_KERNEL_IMAGE(name, path)                                                       \
  asm(".pushsection .rodata\n"                                                              \
      ".balign 64\n"                                                                        \
      "flow_image_" #name                                                                   \
      ":\n"                                                                                 \
      ".incbin \"" path                                                                     \
      "\"\n"                                                                                \
      "flow_image_end_" #name                                                               \
      ":\n"                                                                                 \
      ".byte 0\n"                                                                           \
      ".popsection\n");                                                                     \
  extern "C" const unsigned char flow_image_##name[] __attribute__((visibility("hidden"))); \
  extern "C" const unsigned char flow_image_end_##name[] __attribute__((visibility("hidden")));
#include FLOW_KERNEL_LIST
#undef FLOW_KERNEL_IMAGE

std::span<const KernelImage> kernel_images() {
#define FLOW_KERNEL_IMAGE(name, path) \
  {#name, flow_image_##name, static_cast<std::size_t>(flow_image_end_##name - flow_image_##name)},
  static const KernelImage images[] = {
#include FLOW_KERNEL_LIST
  };
#undef FLOW_KERNEL_IMAGE
  return images;
}

const char* built_architectures() { return FLOW_BUILT_ARCHITECTURES; }
int built_version() { return FLOW_BUILT_VERSION; }

#else

std::span<const KernelImage> kernel_images() {
  // A module without kernels, so that the rest of the code is the same. An emulated driver has its own kernels.
  static constexpr char empty[] = ".version 7.0\n.target sm_75\n.address_size 64\n";
  static constexpr KernelImage images[] = {{"empty", empty, sizeof empty}};
  return images;
}

const char* built_architectures() { return ""; }
int built_version() { return 0; }

#endif

}  // namespace flow::cuda

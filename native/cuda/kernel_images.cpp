#include "cuda/kernel_images.h"

#include "cuda/image_file.h"
#include "cuda/lzma.h"
#include "ops/error.h"

// The images of a release are in a file (FLOW_IMAGES_ID). In other builds they are in the addon: if there is a CUDA
// compiler, tools/cmake/kernels.cmake defines FLOW_IMAGE_LIST: a file that has, for each architecture,
// FLOW_IMAGE_SET(architecture, driver), then FLOW_KERNEL_IMAGE(architecture, name, path) per kernels/*.cu, then
// FLOW_IMAGE_SET_END.

namespace flow::cuda {

#ifdef FLOW_IMAGES_ID

namespace {

const ImageFile& image_file() {
  static const ImageFile& file = *new ImageFile(ImageFile::read(image_file_path(), FLOW_IMAGES_ID));
  return file;
}

}  // namespace

std::span<const ImageSet> image_sets() {
  if (!image_file().error.empty()) throw Error(ErrorCode::device, "CUDA: " + image_file().error);
  return image_file().sets;
}

std::string built_architectures() { return architectures(image_file().sets); }

#elif defined(FLOW_IMAGE_LIST)

// The assembler reads the files, which is quick for files of any size. PTX must end with a zero byte.
#define FLOW_IMAGE_SET(architecture, driver)
#define FLOW_KERNEL_IMAGE(architecture, name, path)                                                          \
  asm(".pushsection .rodata\n"                                                                               \
      ".balign 64\n"                                                                                         \
      "flow_image_" #architecture "_" #name                                                                  \
      ":\n"                                                                                                  \
      ".incbin \"" path                                                                                      \
      "\"\n"                                                                                                 \
      "flow_image_end_" #architecture "_" #name                                                              \
      ":\n"                                                                                                  \
      ".byte 0\n"                                                                                            \
      ".popsection\n");                                                                                      \
  extern "C" const unsigned char flow_image_##architecture##_##name[] __attribute__((visibility("hidden"))); \
  extern "C" const unsigned char flow_image_end_##architecture##_##name[] __attribute__((visibility("hidden")));
#define FLOW_IMAGE_SET_END
#include FLOW_IMAGE_LIST
#undef FLOW_IMAGE_SET
#undef FLOW_KERNEL_IMAGE
#undef FLOW_IMAGE_SET_END

namespace {

#define FLOW_IMAGE_SET(architecture, driver) const KernelImage images_##architecture[] = {
#define FLOW_KERNEL_IMAGE(architecture, name, path) \
  {#name, flow_image_##architecture##_##name,       \
   static_cast<std::size_t>(flow_image_end_##architecture##_##name - flow_image_##architecture##_##name)},
#define FLOW_IMAGE_SET_END \
  }                        \
  ;
#include FLOW_IMAGE_LIST
#undef FLOW_IMAGE_SET
#undef FLOW_KERNEL_IMAGE
#undef FLOW_IMAGE_SET_END

}  // namespace

std::span<const ImageSet> image_sets() {
#define FLOW_IMAGE_SET(architecture, driver) {#architecture, driver, images_##architecture},
#define FLOW_KERNEL_IMAGE(architecture, name, path)
#define FLOW_IMAGE_SET_END
  static const ImageSet sets[] = {
#include FLOW_IMAGE_LIST
  };
#undef FLOW_IMAGE_SET
#undef FLOW_KERNEL_IMAGE
#undef FLOW_IMAGE_SET_END
  return sets;
}

std::string built_architectures() { return architectures(image_sets()); }

#else

std::span<const ImageSet> image_sets() {
  // Modules without kernels, for the capabilities that kernels differ by, so that the rest of the code is the same. An
  // emulated driver has its own kernels.
  static constexpr char turing[] = ".version 7.0\n.target sm_75\n.address_size 64\n";
  static constexpr char ampere[] = ".version 7.0\n.target sm_80\n.address_size 64\n";
  static constexpr char hopper[] = ".version 7.8\n.target sm_90\n.address_size 64\n";
  static constexpr KernelImage turing_images[] = {{"empty", turing, sizeof turing}};
  static constexpr KernelImage ampere_images[] = {{"empty", ampere, sizeof ampere}};
  static constexpr KernelImage hopper_images[] = {{"empty", hopper, sizeof hopper}};
  static constexpr ImageSet sets[] = {
      {"compute_75", 11040, turing_images}, {"compute_80", 11040, ampere_images}, {"compute_90", 11080, hopper_images}};
  return sets;
}

std::string built_architectures() { return ""; }

#endif

std::vector<unsigned char> unpack(const KernelImage& image) {
  const std::span bytes(static_cast<const unsigned char*>(image.data), image.size);
  std::vector<unsigned char> contents;
  if (image.unpacked_size == 0) {
    contents.assign(bytes.begin(), bytes.end());
  } else {
    contents = unpack_lzma(bytes, image.unpacked_size);
  }
  contents.push_back(0);
  return contents;
}

std::string architectures(std::span<const ImageSet> sets) {
  std::string all;
  for (const ImageSet& set : sets) {
    if (!all.empty()) all += ' ';
    all += set.architecture;
  }
  return all;
}

}  // namespace flow::cuda

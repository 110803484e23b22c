// Builds an engine by TensorRT for RTX, which needs no GPU to build, and has the interface of version 11: the real
// library behind the calls that the addon makes.
//   build_plan LIBTENSORRT_RTX LIBTENSORRT_ONNXPARSER_RTX MODEL.onnx [END_AT]
// END_AT is the share at which to end the build. Prints the version, the bytes of the plan, and how often progress was
// told. Exits with 1 and the reason if there is no plan.

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "tensorrt/build.h"

namespace {

void* open(const char* path) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return library;
}

template <class Function>
void find(Function& function, void* library, const char* name) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw std::runtime_error(std::string(name) + " is missing");
}

flow::tensorrt::Library library_of(const char* path, const char* parser_path) {
  flow::tensorrt::Library library;
  void *const handle = open(path), *const parser = open(parser_path);
  int (*version)() = nullptr;
  find(version, handle, "getInferLibVersion");
  find(library.create_builder, handle, "createInferBuilder_INTERNAL");
  find(library.create_parser, parser, "createNvOnnxParser_INTERNAL");
  library.number = version();
  library.slots = &flow::tensorrt::slots_11;
  library.version = {flow::tensorrt::slots_11.major, library.number / 100 % 100, library.number % 100};
  return library;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  try {
    std::ifstream file(argv[3], std::ios::binary);
    const std::string onnx{std::istreambuf_iterator<char>(file), {}};
    const float end_at = argc > 4 ? std::strtof(argv[4], nullptr) : 2;
    const flow::tensorrt::Library library = library_of(argv[1], argv[2]);
    int told = 0;
    const auto go_on = [&](float share) { return ++told, share < end_at; };
    const auto built = flow::tensorrt::build(library, std::as_bytes(std::span(onnx)), {}, go_on);
    std::printf("{ \"version\": %d, \"plan\": %zu, \"timingCache\": %zu, \"told\": %d }\n", library.number,
                built.plan.size(), built.timing_cache.size(), told);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

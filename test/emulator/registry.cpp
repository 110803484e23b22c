#include "registry.h"

#include <cstdio>
#include <cstdlib>
#include <unordered_map>

namespace emu {
namespace {

struct Registry {
  std::vector<const Kernel*> all;
  std::unordered_map<std::string_view, const Kernel*> by_name;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

Registration::Registration(const char* name, std::size_t parameter_bytes, unsigned max_threads,
                           void (*body)(const void*))
    : kernel_{name, parameter_bytes, max_threads, body} {
  if (!registry().by_name.emplace(kernel_.name, &kernel_).second) {
    std::fprintf(stderr, "emulator: two kernels are named %s\n", name);
    std::abort();  // before main: nobody could catch an exception
  }
  registry().all.push_back(&kernel_);
}

const std::vector<const Kernel*>& kernels() { return registry().all; }

const Kernel* find_kernel(std::string_view name) {
  const auto found = registry().by_name.find(name);
  return found == registry().by_name.end() ? nullptr : found->second;
}

}  // namespace emu

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace emu {

struct Kernel {
  std::string name;
  std::size_t parameter_bytes;
  unsigned max_threads;  // from its __launch_bounds__
  void (*body)(const void* parameters);
};

/// All kernels that are linked into this program or library, in no particular order.
const std::vector<const Kernel*>& kernels();
/// Null if no kernel has that name.
const Kernel* find_kernel(std::string_view name);

/// A static object that registers a kernel. KERNEL defines one.
class Registration {
 public:
  Registration(const char* name, std::size_t parameter_bytes, unsigned max_threads, void (*body)(const void*));

 private:
  Kernel kernel_;
};

}  // namespace emu

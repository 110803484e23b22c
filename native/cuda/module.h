#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/device.h"

namespace flow::cuda {

struct Kernel {
  std::string name;
  CUfunction function;
  int shared_bytes;   // limit of dynamic shared memory per launch
  bool programmatic;  // may be launched before the kernels before it are done
};

/// This build's kernels on one device. Only one thread may use it at a time, with the context current.
class Modules {
 public:
  explicit Modules(ContextPtr context);

  /// The compute capability that the kernels are compiled for, 80 for 8.0.
  int capability() const { return capability_; }
  CUfunction find(const std::string& name) { return look_up(name).function; }
  /// The kernel, ready for launches with `shared_bytes` of dynamic shared memory. The reference stays valid.
  const Kernel& kernel(std::string_view name, int shared_bytes);

 private:
  using Module = Owned<CUmodule, &Driver::cuModuleUnload>;

  Kernel& look_up(std::string_view name);

  ContextPtr context_;
  int capability_;
  bool programmatic_;
  std::vector<Module> modules_;
  std::map<std::string, Kernel, std::less<>> kernels_;
};

}  // namespace flow::cuda

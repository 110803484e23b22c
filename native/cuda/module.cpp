#include "cuda/module.h"

#include "cuda/image_choice.h"

namespace flow::cuda {

namespace {

/// Bytes of shared memory that any kernel may use. A kernel must ask for a larger size.
constexpr int shared_bytes_of_all = 48 << 10;

}  // namespace

Modules::Modules(ContextPtr context) : context_(std::move(context)) {
  const Context::Scope scope(*context_);
  const ImageSet& chosen = choose_images(*context_);
  capability_ = capability_of(chosen);
  programmatic_ =
      driver().cuLaunchKernelEx != nullptr && may_launch_programmatically(chosen, driver().version, context_->device());
  for (const KernelImage& image : chosen.images) {
    CUmodule module = nullptr;
    check(driver().cuModuleLoadData(&module, unpack(image).data()), "cuModuleLoadData");
    modules_.emplace_back(context_, module);
  }
}

Kernel& Modules::look_up(std::string_view name) {
  if (const auto known = kernels_.find(name); known != kernels_.end()) return known->second;
  std::string key(name);
  for (const Module& module : modules_) {
    CUfunction function = nullptr;
    const CUresult result = driver().cuModuleGetFunction(&function, module.get(), key.c_str());
    if (result == CUDA_ERROR_NOT_FOUND) continue;
    check(result, "cuModuleGetFunction");
    return kernels_.emplace(key, Kernel{key, function, shared_bytes_of_all, programmatic_}).first->second;
  }
  throw Error(ErrorCode::device, "CUDA: this build holds no kernel " + key +
                                     (built_architectures().empty()
                                          ? ": it was built without nvcc; install the CUDA toolkit and build it again "
                                            "(npx dinov3-flow build)"
                                          : ""));
}

const Kernel& Modules::kernel(std::string_view name, int shared_bytes) {
  Kernel& kernel = look_up(name);
  if (shared_bytes > kernel.shared_bytes) {
    const DeviceInfo& device = context_->device();
    if (static_cast<std::size_t>(shared_bytes) > device.shared_per_block) {
      throw Error(ErrorCode::device, "CUDA: " + kernel.name + " needs " + std::to_string(shared_bytes) +
                                         " bytes of shared memory, and " + device.name + " has " +
                                         std::to_string(device.shared_per_block) + " for a block");
    }
    check(driver().cuFuncSetAttribute(kernel.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes),
          "cuFuncSetAttribute");
    kernel.shared_bytes = shared_bytes;
  }
  return kernel;
}

}  // namespace flow::cuda

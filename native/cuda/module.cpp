#include "cuda/module.h"

#include "cuda/kernel_images.h"

namespace flow::cuda {

namespace {

/// Bytes of shared memory that any kernel may use. A kernel must ask for a larger size.
constexpr int shared_bytes_of_all = 48 << 10;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// As `check`. Errors of loading also say how they relate to this build.
void check_load(CUresult result, const char* what, const DeviceInfo& device) {
  switch (result) {
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION: break;
    default: check(result, what); return;
  }
  const std::string why = " (" + std::string(what) + ": " + error_name(driver(), result) + ")";
  if (built_version() / 1000 > driver().version / 1000) {  // within one major version, all are compatible
    throw Error(ErrorCode::device, "CUDA: the driver is too old: it knows CUDA " + version_text(driver().version) +
                                       ", and the kernels of this build are of CUDA " + version_text(built_version()) +
                                       "; update the driver" + why);
  }
  const std::string built = *built_architectures() == '\0' ? "no GPU" : built_architectures();
  throw Error(ErrorCode::device, "CUDA: this build has kernels for " + built + " only, and " + device.name + " is sm_" +
                                     std::to_string(device.capability_major) + std::to_string(device.capability_minor) +
                                     "; build the addon on this machine, with nvcc (npx cmake-js compile)" + why);
}

}  // namespace

Modules::Modules(ContextPtr context) : context_(std::move(context)) {
  const Context::Scope scope(*context_);
  for (const KernelImage& image : kernel_images()) {
    CUmodule module = nullptr;
    check_load(driver().cuModuleLoadData(&module, image.data), "cuModuleLoadData", context_->device());
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
    check_load(result, "cuModuleGetFunction", context_->device());
    return kernels_.emplace(key, Kernel{key, function, shared_bytes_of_all}).first->second;
  }
  throw Error(ErrorCode::device, "CUDA: this build holds no kernel " + key +
                                     (*built_architectures() == '\0'
                                          ? ": it was built without nvcc; install the CUDA toolkit and build it again "
                                            "(npx cmake-js compile)"
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

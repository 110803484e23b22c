#include "cuda/driver.h"

#include <cstdlib>
#include <optional>
#include <string_view>

#ifdef __linux__
#include <dlfcn.h>
#endif

namespace flow::cuda {

namespace {

[[noreturn]] void no_driver(const std::string& reason) { throw Error(ErrorCode::device, "CUDA: " + reason); }

#ifdef __linux__

/// CUDA 11.4 introduced cuGraphInstantiateWithFlags, the newest function of the table.
constexpr int minimum_version = 11040;
constexpr const char* older_than_minimum = "it is older than CUDA 11.4; update it";

constexpr const char* library_variable = "DINOV3_FLOW_CUDA_DRIVER";

/// Advice on those failures of cuInit whose names do not say what to do.
const char* advice(CUresult result) {
  switch (static_cast<int>(result)) {
    case 34:  // CUDA_ERROR_STUB_LIBRARY
      return "this is the stub that the CUDA toolkit links with, not a driver; take its folder out of LD_LIBRARY_PATH";
    case CUDA_ERROR_NO_DEVICE:
      return "there is no GPU that it can use; look at CUDA_VISIBLE_DEVICES, start a container with --gpus all, and "
             "update a driver that is older than the GPU";
    case 802:  // CUDA_ERROR_SYSTEM_NOT_READY
      return "the system is not ready; on machines with NVSwitch, start nvidia-fabricmanager";
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      return "the driver's library and its kernel module are of different versions; reboot, or reinstall the driver";
    case 804:  // CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE
      return "CUDA's compatibility package does not support this GPU; remove it, or take it out of LD_LIBRARY_PATH";
    case CUDA_ERROR_UNKNOWN:
      return "its kernel modules may not be loaded; see whether nvidia-smi works, load nvidia_uvm, or reboot";
    default: return "see whether nvidia-smi works";
  }
}

Driver load() {
  const char* variable = std::getenv(library_variable);
  const bool chosen = variable != nullptr && *variable != '\0';
  const std::string name = chosen ? variable : "libcuda.so.1";
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* text = dlerror();
    const std::string reason = text != nullptr ? text : name + " cannot be opened";
    no_driver(chosen
                  ? reason + "; it was named by " + library_variable
                  : "there is no NVIDIA driver (" + reason + "); install one, or start the container with --gpus all");
  }

  Driver driver;
  std::string missing;
#define FLOW_CUDA_FIND(name, symbol, parameters)                                  \
  driver.name = reinterpret_cast<decltype(driver.name)>(dlsym(library, #symbol)); \
  if (driver.name == nullptr) missing += std::string(missing.empty() ? "" : ", ") + #symbol;
  FLOW_CUDA_FUNCTIONS(FLOW_CUDA_FIND)
#undef FLOW_CUDA_FIND
#define FLOW_CUDA_FIND(name, symbol, parameters) \
  driver.name = reinterpret_cast<decltype(driver.name)>(dlsym(library, #symbol));
  FLOW_CUDA_NEW_FUNCTIONS(FLOW_CUDA_FIND)
#undef FLOW_CUDA_FIND
  if (!missing.empty()) no_driver("the driver (" + name + ") lacks " + missing + ": " + older_than_minimum);

  if (const CUresult result = driver.cuDriverGetVersion(&driver.version); result != CUDA_SUCCESS) {
    no_driver("the driver does not tell its version: " + error_name(driver, result));
  }
  if (driver.version < minimum_version) no_driver(std::string("the driver is too old: ") + older_than_minimum);
  if (const CUresult result = driver.cuInit(0); result != CUDA_SUCCESS) {
    no_driver("the driver, for CUDA " + version_text(driver.version) +
              ", does not start: " + error_name(driver, result) + ": " + advice(result));
  }
  return driver;
}

#else

Driver load() { no_driver("it is supported on Linux only"); }

#endif

struct Answer {
  Driver driver;
  std::optional<Error> error;

  Answer() {
    try {
      driver = load();
    } catch (const Error& e) {
      error = e;
    }
  }
};

}  // namespace

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

const Driver& driver() {
  static const Answer& answer = *new Answer;  // never destroyed: threads may outlive the static objects
  if (answer.error) throw Error(*answer.error);
  return answer.driver;
}

std::string error_name(const Driver& driver, CUresult result) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (driver.cuGetErrorName(result, &name) != CUDA_SUCCESS || name == nullptr) {
    return "CUDA error " + std::to_string(static_cast<int>(result));
  }
  if (driver.cuGetErrorString(result, &text) != CUDA_SUCCESS || text == nullptr) return name;
  return std::string(name) + " (" + text + ")";
}

void check(CUresult result, const char* what, const char* file, int line) {
  if (result == CUDA_SUCCESS) return;
  const std::string_view path = file;
  std::string message = std::string(what) + " (" + std::string(path.substr(path.rfind('/') + 1)) + ":" +
                        std::to_string(line) + ") failed: " + error_name(driver(), result);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    throw Error(ErrorCode::out_of_memory,
                "out of GPU memory: " + message + "; use a smaller `size`, or dispose of other models");
  }
  if (result == CUDA_ERROR_ILLEGAL_ADDRESS || result == CUDA_ERROR_LAUNCH_FAILED) {
    message += "; the GPU cannot be used by this process any more: start it anew";
  }
  throw Error(ErrorCode::device, message);
}

}  // namespace flow::cuda

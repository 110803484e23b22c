#include "tensorrt/library.h"

#include <cstdlib>
#include <mutex>
#include <utility>

#ifdef __linux__
#include <dlfcn.h>
#endif

#include "ops/error.h"
#include "tensorrt/abi.h"

namespace flow::tensorrt {

namespace {

constexpr const char* library_variable = "DINOV3_FLOW_TENSORRT";

/// The first version that is trusted with DINOv3. 10.3 gives one class for every picture, 10.4 a cosine of 0.018 or NaN
/// (NVIDIA/TensorRT issues 4558, 4723, 4742); 10.6 was reported right (Intellindust-AI-Lab/DEIMv2 issue 112).
constexpr Version oldest{10, 6, 0};

// ---- messages -------------------------------------------------------------------------------------------------------

/// What TensorRT told. It keeps the first logger that it gets for the life of the process.
class Messages {
 public:
  void add(Severity severity, const char* message) noexcept {
    if (severity > Severity::warning || message == nullptr) return;
    try {
      const std::lock_guard lock(mutex_);
      if (severity == Severity::warning && has_errors_) return;
      if (severity < Severity::warning && !has_errors_) text_.clear();
      has_errors_ = has_errors_ || severity < Severity::warning;
      if (text_.size() < most) text_ += (text_.empty() ? "" : "; ") + std::string(message);
    } catch (...) {  // no memory for a message
    }
  }
  std::string take() {
    const std::lock_guard lock(mutex_);
    has_errors_ = false;
    return std::exchange(text_, {});
  }

 private:
  static constexpr std::size_t most = 2000;
  std::mutex mutex_;
  std::string text_;
  bool has_errors_ = false;  // then warnings are of no interest
};

Messages& messages() {
  static Messages& all = *new Messages;  // never destroyed: TensorRT's threads may outlive the static objects
  return all;
}

struct LoggerOf10 final : Logger10 {
  void log(Severity severity, const char* message) noexcept override { messages().add(severity, message); }
};
struct LoggerOf11 final : Logger11 {
  void log(Severity severity, const char* message) noexcept override { messages().add(severity, message); }
};

// ---- the library ----------------------------------------------------------------------------------------------------

[[noreturn]] void refuse(const std::string& reason) { throw Error(ErrorCode::device, "TensorRT: " + reason); }

#ifdef __linux__

template <class Function>
Function find(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

std::string reason_of_loader() {
  const char* text = dlerror();
  return text == nullptr ? "it cannot be opened" : text;
}

/// getInferLibVersion gives 8601 for 8.6.1, and 101601 for 10.16.1.
Version version_of(int number) {
  const int major = number < 10000 ? 1000 : 10000;
  return {number / major, number % major / 100, number % 100};
}

struct Opened {
  void* handle = nullptr;
  std::string path;
};

std::string path_of(void* symbol, const std::string& name) {
  Dl_info info{};
  return dladdr(symbol, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : name;
}

/// The library of a major version: a copy that is loaded already, or the one that the loader finds.
void* open_major(int major) {
  const std::string name = "libnvinfer.so." + std::to_string(major);
  if (void* loaded = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)) return loaded;
  return dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
}

Library read(void* handle, const std::string& name) {
  const auto number = find<int (*)()>(handle, "getInferLibVersion");
  if (number == nullptr) refuse(name + " is not TensorRT: it has no getInferLibVersion");
  Library library;
  library.number = number();
  library.version = version_of(library.number);
  library.path = path_of(reinterpret_cast<void*>(number), name);
  return library;
}

/// The parser is in a library of its own, beside the other one.
void* open_parser(void* handle, const Library& library) {
  constexpr const char* function = "createNvOnnxParser_INTERNAL";
  if (void* found = dlsym(handle, function)) return found;
  const std::string name = "libnvonnxparser.so." + std::to_string(library.version.major);
  const std::string beside = library.path.substr(0, library.path.rfind('/') + 1) + name;
  void* parser = dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (parser == nullptr) parser = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (parser == nullptr) {
    refuse(name + " is missing beside " + library.path + " (" + reason_of_loader() +
           "): install it with the same version");
  }
  void* found = dlsym(parser, function);
  if (found == nullptr) refuse(name + " lacks " + function);
  return found;
}

Library complete(void* handle, Library library) {
  if (const std::string reason = refusal(library.version); !reason.empty()) {
    throw Error(ErrorCode::device, "TensorRT " + library.version.text() + " (" + library.path + ") " + reason);
  }
  library.slots = library.version.major == slots_10.major ? &slots_10 : &slots_11;
  using Create = void* (*)(void*, int) noexcept;
  library.create_builder = find<Create>(handle, "createInferBuilder_INTERNAL");
  library.create_runtime = find<Create>(handle, "createInferRuntime_INTERNAL");
  if (library.create_builder == nullptr || library.create_runtime == nullptr) {
    refuse(library.path + " lacks createInferBuilder_INTERNAL or createInferRuntime_INTERNAL");
  }
  library.create_parser = reinterpret_cast<decltype(library.create_parser)>(open_parser(handle, library));
  return library;
}

#endif

}  // namespace

std::string Version::text() const {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

std::string refusal(const Version& version) {
  if (version.major < slots_10.major) return "is too old: install " + oldest.text() + " or newer";
  if (version.major > slots_11.major) return "is newer than this package knows: install 11 or 10";
  if (version >= oldest) return {};
  return "computes DINOv3 wrongly (NVIDIA/TensorRT issues 4558, 4723, 4742): install " + oldest.text() +
         " or newer; on JetPack 6, 10.7";
}

Library Library::open() {
#ifdef __linux__
  if (const char* named = std::getenv(library_variable); named != nullptr && *named != '\0') {
    void* handle = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) refuse(reason_of_loader() + "; it was named by " + library_variable);
    return complete(handle, read(handle, named));
  }
  std::string reason;
  for (const int major : {slots_11.major, slots_10.major, 9, 8}) {
    void* handle = open_major(major);
    if (handle == nullptr) continue;
    try {
      return complete(handle, read(handle, "libnvinfer.so." + std::to_string(major)));
    } catch (const Error& error) {
      if (reason.empty()) reason = error.what();
    }
  }
  if (!reason.empty()) throw Error(ErrorCode::device, reason);
  refuse(std::string("libnvinfer.so.11 and libnvinfer.so.10 are not found: install TensorRT ") + oldest.text() +
         " or newer, or name its library in " + library_variable);
#else
  refuse("it is supported on Linux only");
#endif
}

void* Library::logger() const {
  static auto* const of_10 = new LoggerOf10;  // never destroyed, as its messages
  static auto* const of_11 = new LoggerOf11;
  return version.major == slots_10.major ? static_cast<void*>(of_10) : static_cast<void*>(of_11);
}

void forget_messages() { messages().take(); }

void fail(const Library& library, const std::string& what) {
  const std::string said = messages().take();
  throw Error(ErrorCode::device,
              "TensorRT " + library.version.text() + " " + what + (said.empty() ? "" : ". It says: " + said));
}

}  // namespace flow::tensorrt

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cuda/driver.h"

namespace flow::cuda {

struct DeviceInfo {
  std::string name;
  int index;
  int capability_major, capability_minor;
  int multiprocessors;
  std::size_t shared_per_block, shared_per_multiprocessor, l2, memory;  // bytes
  bool integrated;                                                      // its memory is the host's memory

  /// "9.0"
  std::string capability() const { return std::to_string(capability_major) + "." + std::to_string(capability_minor); }
};

/// The GPUs that the driver shows, in its order. Creates no context.
std::vector<DeviceInfo> devices();

/// A device's primary context, which other users of CUDA in this process share. It is retained while the object lives.
class Context {
 public:
  /// The process's only object for the device of that index. Throws Error(device) if there is no such device.
  static std::shared_ptr<const Context> of(int index);

  explicit Context(const DeviceInfo& device);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const DeviceInfo& device() const { return device_; }
  CUcontext handle() const { return context_; }

  /// Makes the context current on this thread while the object lives, then restores the previous one. Never throws: if
  /// the driver refuses, the calls made under it report the error.
  class Scope {
   public:
    explicit Scope(const Context& context) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    CUcontext before_ = nullptr;
    bool changed_;
  };

 private:
  DeviceInfo device_;
  CUdevice handle_ = 0;
  CUcontext context_ = nullptr;
};

using ContextPtr = std::shared_ptr<const Context>;

/// A handle of the driver, destroyed in its context by the member `destroy` of Driver.
template <class Handle, auto destroy>
class Owned {
 public:
  Owned() = default;
  Owned(ContextPtr context, Handle handle) : context_(std::move(context)), handle_(handle) {}
  ~Owned() {
    if (handle_ == Handle{}) return;
    const Context::Scope scope(*context_);
    (driver().*destroy)(handle_);  // a destructor cannot report a failure
  }
  Owned(Owned&& other) noexcept
      : context_(std::move(other.context_)), handle_(std::exchange(other.handle_, Handle{})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(handle_, other.handle_);
    return *this;
  }

  Handle get() const { return handle_; }
  const ContextPtr& context() const { return context_; }

 private:
  ContextPtr context_;
  Handle handle_{};
};

}  // namespace flow::cuda

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

// TensorRT's objects without its headers: functions are called by their slots (slots.h), by the Itanium C++ ABI, which
// Linux uses on x86-64 and AArch64. There, a member function is a function whose first argument is the object, and a
// virtual destructor takes two entries of a table, the second of which also frees the object.

namespace flow::tensorrt {

constexpr int destructor_entries = 2;

/// Calls the function at an entry of an object's table.
template <class Result, class... Arguments>
Result call_entry(void* object, int entry, Arguments... arguments) {
  using Function = Result (*)(void*, Arguments...);
  void* const* const table = *static_cast<void* const* const*>(object);
  return reinterpret_cast<Function>(table[entry])(object, arguments...);
}

/// A public object of TensorRT, such as an IBuilder: a table with its destructor, and the object behind it that does
/// the work.
struct Object {
  void* table;
  void* implementation;
};

/// Calls a function of a public object.
template <class Result, class... Arguments>
Result call(const Object* object, int slot, Arguments... arguments) {
  return call_entry<Result>(object->implementation, destructor_entries + slot, arguments...);
}

/// Owns an object whose destructor begins at an entry of its table.
template <class Type = Object>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Type* object, int destructor = 0) : object_(object), destructor_(destructor) {}
  ~Owned() {
    if (object_ != nullptr) call_entry<void>(object_, destructor_ + 1);
  }
  Owned(Owned&& other) noexcept : object_(std::exchange(other.object_, nullptr)), destructor_(other.destructor_) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(destructor_, other.destructor_);
    return *this;
  }

  explicit operator bool() const { return object_ != nullptr; }
  Type* get() const { return object_; }

 private:
  Type* object_ = nullptr;
  int destructor_ = 0;
};

/// Shape of a tensor: `nvinfer1::Dims64`.
struct Dims {
  std::int32_t count;
  std::array<std::int64_t, 8> of;
};

// Values of TensorRT's enumerations, which are 32-bit integers.
enum class Severity : std::int32_t { internal_error = 0, error = 1, warning = 2 };
enum class DataType : std::int32_t { float32 = 0, float16 = 1 };
enum class IOMode : std::int32_t { input = 1, output = 2 };
enum class Allocation : std::int32_t { user_managed = 2 };

// What TensorRT calls. The order of the functions is that of its headers.

struct InterfaceInfo {
  const char* kind;
  std::int32_t major, minor;
};

/// `nvinfer1::IVersionedInterface`.
class VersionedInterface {
 public:
  virtual std::int32_t language() const noexcept { return 0; }  // C++
  virtual InterfaceInfo interface() const noexcept = 0;
  virtual ~VersionedInterface() = default;
};

/// `nvinfer1::IProgressMonitor` 1.0. Any thread may call it.
class ProgressMonitor : public VersionedInterface {
 public:
  InterfaceInfo interface() const noexcept override { return {"IProgressMonitor", 1, 0}; }
  virtual void phase_start(const char* phase, const char* parent, std::int32_t steps) noexcept = 0;
  /// False ends the build.
  virtual bool step_complete(const char* phase, std::int32_t step) noexcept = 0;
  virtual void phase_finish(const char* phase) noexcept = 0;
};

/// `nvinfer1::ILogger` of version 10. Any thread may call it.
class Logger10 {
 public:
  virtual void log(Severity severity, const char* message) noexcept = 0;
  virtual ~Logger10() = default;
};

/// `nvinfer1::ILogger` 1.0 of version 11.
class Logger11 : public VersionedInterface {
 public:
  InterfaceInfo interface() const noexcept override { return {"ILogger", 1, 0}; }
  virtual void log(Severity severity, const char* message) noexcept = 0;
};

}  // namespace flow::tensorrt

#pragma once

#include <napi.h>

#include <memory>
#include <span>
#include <vector>

#include "addon/values.h"
#include "engine/engine.h"

namespace flow::addon {

/// The memory that a call reads and writes in place, and everything that must stay alive until the call is settled. All
/// functions throw Error(argument).
class BoundMemory {
 public:
  /// `device` is the index of the engine's GPU, or Memory::host. `engine` is null before a model is loaded, and after.
  BoundMemory(EnginePtr engine, int device) : engine_(std::move(engine)), device_(device) {}

  /// The elements of a typed array, without a copy.
  template <class Element>
  std::span<Element> elements(const Napi::Value& value, napi_typedarray_type type, const char* what) {
    const auto elements = to_elements<Element>(value, type, what);
    keep(value, std::as_bytes(elements));
    return elements;
  }
  /// NativeBytes of lib/native/contract.ts: an Uint8Array, or a range of memory that the engine can reach.
  std::span<std::byte> bytes(const Napi::Value& value, const char* what);
  /// As `elements`, also for a range of memory that the engine can reach. On a GPU it begins at a multiple of 16 bytes,
  /// as kernels need it.
  template <class Element>
  std::span<Element> result(const Napi::Value& value, napi_typedarray_type type, const char* what) {
    if (value.IsTypedArray()) return elements<Element>(value, type, what);
    const std::span<std::byte> bytes = aligned(to_object(value, what), sizeof(Element), what);
    return {reinterpret_cast<Element*>(bytes.data()), bytes.size() / sizeof(Element)};
  }
  /// Whether something of it is not in the host's memory.
  bool on_device() const { return on_device_; }
  /// The index of the engine's GPU, or Memory::host.
  int device() const { return device_; }

  std::vector<Napi::ObjectReference> keeps;        // the buffers
  std::vector<std::shared_ptr<const void>> holds;  // their memory
  OtherStreams streams;                            // of other code that uses some of it

 private:
  void keep(const Napi::Value& typed_array, std::span<const std::byte> bytes);
  std::span<std::byte> range(const Napi::Object& range, const char* what);
  void share(std::uint64_t stream);
  std::span<std::byte> aligned(const Napi::Object& range, std::size_t element, const char* what);
  MemoryPtr memory_of(const Napi::Object& range, std::span<const std::byte> bytes, const char* what) const;

  EnginePtr engine_;
  int device_;
  bool on_device_ = false;
  std::vector<std::uint64_t> shared_;  // the handles of `streams`
};

}  // namespace flow::addon

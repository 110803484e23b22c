#include "addon/bound_memory.h"

#include <algorithm>

#include "addon/backing_store.h"
#include "addon/borrowed_memory.h"
#include "engine/known_memory.h"

namespace flow::addon {

std::span<std::byte> BoundMemory::bytes(const Napi::Value& value, const char* what) {
  if (!value.IsTypedArray()) return range(to_object(value, what), what);
  return std::as_writable_bytes(elements<std::uint8_t>(value, napi_uint8_array, what));
}

void BoundMemory::keep(const Napi::Value& typed_array, std::span<const std::byte> bytes) {
  keeps.push_back(Napi::Persistent(typed_array.As<Napi::Object>()));
  // The end of the environment frees the engine's own memory before the model's thread has ended.
  if (auto memory = holding(bytes)) {
    holds.push_back(std::move(memory));
  } else if (auto store = hold_backing_store(typed_array)) {
    holds.push_back(std::move(store));
  }
}

std::span<std::byte> BoundMemory::range(const Napi::Object& range, const char* what) {
  const std::uintptr_t address = to_address(range.Get("pointer"), what);
  const auto size = static_cast<std::size_t>(to_integer(range.Get("bytes"), what, 1, max_exact_integer));
  // NOLINTNEXTLINE(performance-no-int-to-ptr): addresses cross to JavaScript as integers
  const std::span<std::byte> bytes(reinterpret_cast<std::byte*>(address), size);
  MemoryPtr memory = memory_of(range, bytes, what);
  if (memory->device() != Memory::host && memory->device() != device_) {
    reject(std::string(what) + " is in the memory of another device");
  }
  if (!memory->is_there()) reject(std::string(what) + " is memory that was freed: dispose tensors over it");
  on_device_ = on_device_ || memory->device() != Memory::host;
  if (const Napi::Value stream = range.Get("stream"); !stream.IsUndefined()) share(to_handle(stream, "stream"));
  holds.push_back(std::move(memory));
  return bytes;
}

/// The memory that all of `bytes` lie in.
MemoryPtr BoundMemory::memory_of(const Napi::Object& range, std::span<const std::byte> bytes, const char* what) const {
  const Napi::Value owner = range.Get("owner");
  MemoryPtr memory = owner.IsUndefined() ? holding(bytes) : owned_by(owner, bytes, what);
  if (!memory && engine_) memory = engine_->adopt(bytes);
  if (!memory) reject(std::string(what) + " is not within memory of an engine");
  return memory;
}

/// Once for each stream, however many ranges name it.
void BoundMemory::share(std::uint64_t stream) {
  if (std::ranges::find(shared_, stream) != shared_.end()) return;
  if (!engine_) throw Error(ErrorCode::disposed, "the model was disposed");
  streams.push_back(engine_->mark(stream));
  shared_.push_back(stream);
}

std::span<std::byte> BoundMemory::aligned(const Napi::Object& range, std::size_t element, const char* what) {
  const std::span<std::byte> bytes = this->range(range, what);
  const std::size_t alignment = on_device_ ? 16 : element;
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment != 0) {
    reject(std::string(what) + ": a tensor for a result must begin at a multiple of " + std::to_string(alignment) +
           " bytes");
  }
  return bytes;
}

}  // namespace flow::addon

#include "addon/dlpack.h"

#include <algorithm>
#include <array>
#include <limits>

#include "addon/borrowed_memory.h"
#include "addon/host_buffer.h"
#include "engine/known_memory.h"

namespace flow::addon {

namespace {

constexpr int most_axes = 8;

dinov3_flow_capsule& capsule_of(const Napi::Value& value) {
  dinov3_flow_capsule* const capsule = dinov3_flow_capsule_of(value.Env(), value);
  if (capsule == nullptr) reject("capsule: is none of toDLPack() or of include/dinov3_flow.h");
  if (capsule->tensor == nullptr) reject("capsule: its tensor was taken before");
  const DLPackVersion& version = capsule->tensor->version;
  if (version.major != DLPACK_MAJOR_VERSION) {
    reject("capsule: its tensor is of DLPack " + std::to_string(version.major) + "." + std::to_string(version.minor) +
           ", and only version 1 is read");
  }
  return *capsule;
}

/// The address of the first value, or 0 if there is none.
std::uintptr_t first_value(const DLTensor& tensor) {
  const auto data = reinterpret_cast<std::uintptr_t>(tensor.data);
  const auto offset = static_cast<std::uintptr_t>(tensor.byte_offset);
  return data == 0 || offset > std::numeric_limits<std::uintptr_t>::max() - data ? 0 : data + offset;
}

Napi::Array to_js(Napi::Env env, std::span<const std::int64_t> numbers) {
  Napi::Array array = Napi::Array::New(env, numbers.size());
  for (std::uint32_t i = 0; i < numbers.size(); i++) array.Set(i, static_cast<double>(numbers[i]));
  return array;
}

/// A tensor that another module may hold, and what it keeps alive.
struct Exported {
  DLManagedTensorVersioned tensor{};
  std::array<std::int64_t, most_axes> shape{};
  std::array<std::int64_t, most_axes> strides{};
  std::vector<std::shared_ptr<const void>> holds;
  std::shared_ptr<HomeThread> home;
  std::weak_ptr<ModelWorker> worker;
};

/// Deleter of an Exported. Any thread.
void free_exported(DLManagedTensorVersioned* self) {
  const std::unique_ptr<Exported> exported(static_cast<Exported*>(self->manager_ctx));
  // Moved into the work, so that the work has the last hold of the memory.
  exported->home->run([holds = std::move(exported->holds), worker = std::move(exported->worker)]() mutable {
    for (auto& hold : holds) let_go(std::move(hold), worker);
  });
}

std::size_t read_numbers(const Napi::Value& value, const char* what, std::span<std::int64_t> into) {
  const std::vector<std::int64_t> numbers = to_integers(value, what);
  if (numbers.size() > into.size()) reject(std::string(what) + " has too many axes");
  std::ranges::copy(numbers, into.begin());
  return numbers.size();
}

DLDevice device_of(std::span<const std::byte> bytes, int gpu) {
  if (gpu != Memory::host) return {kDLCUDA, gpu};
  const MemoryPtr known = holding(bytes);
  return {known && known->is_page_locked() ? kDLCUDAHost : kDLCPU, 0};
}

}  // namespace

Napi::Object describe_capsule(const Napi::Value& capsule) {
  const DLManagedTensorVersioned& managed = *capsule_of(capsule).tensor;
  const DLTensor& tensor = managed.dl_tensor;
  if (tensor.ndim < 1 || tensor.ndim > most_axes || tensor.shape == nullptr) {
    reject("capsule: its tensor has " + std::to_string(tensor.ndim) + " axes, and 1 to 8 are read");
  }
  const Napi::Env env = capsule.Env();
  const auto axes = static_cast<std::size_t>(tensor.ndim);
  Napi::Object object = Napi::Object::New(env);
  object.Set("deviceType", static_cast<int>(tensor.device.device_type));
  object.Set("code", static_cast<int>(tensor.dtype.code));
  object.Set("bits", static_cast<int>(tensor.dtype.bits));
  object.Set("lanes", static_cast<int>(tensor.dtype.lanes));
  object.Set("shape", to_js(env, {tensor.shape, axes}));
  if (tensor.strides != nullptr) object.Set("strides", to_js(env, {tensor.strides, axes}));
  object.Set("pointer", Napi::BigInt::New(env, static_cast<std::uint64_t>(first_value(tensor))));
  object.Set("readOnly", (managed.flags & DLPACK_FLAG_BITMASK_READ_ONLY) != 0);
  return object;
}

MemoryPtr take_tensor(const Napi::Value& value, std::size_t bytes, const Engine& engine,
                      std::shared_ptr<HomeThread> home) {
  dinov3_flow_capsule& capsule = capsule_of(value);
  const DLTensor& tensor = capsule.tensor->dl_tensor;
  const bool on_host = tensor.device.device_type == kDLCPU || tensor.device.device_type == kDLCUDAHost;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address and an offset
  const std::span<std::byte> values(reinterpret_cast<std::byte*>(first_value(tensor)), bytes);
  MemoryPtr block = on_host ? nullptr : engine.adopt(values);
  auto memory = std::make_shared<const BorrowedMemory>(capsule.tensor, values, std::move(block), std::move(home));
  capsule.tensor = nullptr;
  return memory;
}

Napi::Value make_capsule(const Napi::Object& value, BoundMemory& memory, const std::shared_ptr<HomeThread>& home,
                         const std::weak_ptr<ModelWorker>& worker) {
  auto exported = std::make_unique<Exported>();
  const std::span<std::byte> bytes = memory.bytes(value.Get("memory"), "a tensor");
  exported->holds = std::move(memory.holds);
  if (exported->holds.empty()) {  // memory of JavaScript, which only its object keeps
    for (const auto& object : memory.keeps) exported->holds.push_back(HomeThread::keep(home, object.Value()));
  }
  exported->home = home;
  exported->worker = worker;
  const std::size_t axes = read_numbers(value.Get("shape"), "shape", exported->shape);
  if (read_numbers(value.Get("strides"), "strides", exported->strides) != axes)
    reject("strides are not those of shape");
  constexpr int byte = std::numeric_limits<std::uint8_t>::max();
  exported->tensor = {
      .version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION},
      .manager_ctx = exported.get(),
      .deleter = free_exported,
      .flags = value.Get("readOnly").ToBoolean() ? DLPACK_FLAG_BITMASK_READ_ONLY : 0,
      .dl_tensor = {.data = bytes.data(),
                    .device = device_of(bytes, memory.on_device() ? memory.device() : Memory::host),
                    .ndim = static_cast<std::int32_t>(axes),
                    .dtype = {.code = static_cast<std::uint8_t>(to_int(value.Get("code"), "code", 0, byte)),
                              .bits = static_cast<std::uint8_t>(to_int(value.Get("bits"), "bits", 1, byte)),
                              .lanes = 1},
                    .shape = exported->shape.data(),
                    .strides = exported->strides.data(),
                    .byte_offset = 0}};
  napi_value capsule = dinov3_flow_give(value.Env(), &exported->tensor);
  if (capsule == nullptr) throw Napi::Error::New(value.Env());
  static_cast<void>(exported.release());
  return {value.Env(), capsule};
}

}  // namespace flow::addon

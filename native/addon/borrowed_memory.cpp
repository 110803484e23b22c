#include "addon/borrowed_memory.h"

#include "addon/values.h"

namespace flow::addon {

namespace {

using Owner = std::weak_ptr<const Memory>;

constexpr napi_type_tag owner_tag{0x4f90d2c7e86b13a5, 0xb21857f3c04da96e};

}  // namespace

Napi::Value owner_object(Napi::Env env, const MemoryPtr& memory) {
  auto owner = std::make_unique<Owner>(memory);
  const auto object = Napi::External<Owner>::New(env, owner.get(), [](Napi::Env /*env*/, Owner* data) { delete data; });
  static_cast<void>(owner.release());
  object.TypeTag(&owner_tag);
  return object;
}

MemoryPtr owned_by(const Napi::Value& owner, std::span<const std::byte> bytes, const char* what) {
  if (!owner.IsExternal() || !owner.As<Napi::External<Owner>>().CheckTypeTag(&owner_tag)) {
    reject(std::string(what) + " has an owner that is none");
  }
  MemoryPtr memory = owner.As<Napi::External<Owner>>().Data()->lock();
  if (!memory) reject(std::string(what) + " was given back to its owner");
  const std::size_t offset = bytes.data() - memory->bytes().data();  // behind the end if it is before the begin
  if (offset > memory->size() || bytes.size() > memory->size() - offset) {
    reject(std::string(what) + " is outside of the memory of its owner");
  }
  return memory;
}

}  // namespace flow::addon

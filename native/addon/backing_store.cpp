#include "addon/backing_store.h"

#include <dlfcn.h>

namespace flow::addon {

namespace {

/// v8::ArrayBuffer::GetBackingStore. Node-API has no such function: a reference keeps the ArrayBuffer alive, but not
/// the memory that it is over. node exports this one since version 12. A napi_value is the address of a handle's slot,
/// which is `this` of a v8::Local, and v8::BackingStore is passed as an opaque std::shared_ptr.
using GetBackingStore = std::shared_ptr<const void> (*)(napi_value array_buffer);

GetBackingStore find() {
  return reinterpret_cast<GetBackingStore>(dlsym(RTLD_DEFAULT, "_ZN2v811ArrayBuffer15GetBackingStoreEv"));
}

}  // namespace

std::shared_ptr<const void> hold_backing_store(const Napi::Value& typed_array) {
  static const GetBackingStore get_backing_store = find();
  if (get_backing_store == nullptr) return nullptr;
  napi_env env = typed_array.Env();
  napi_value buffer = nullptr;
  bool ordinary = false;  // not shared
  if (napi_get_typedarray_info(env, typed_array, nullptr, nullptr, nullptr, &buffer, nullptr) != napi_ok)
    return nullptr;
  if (napi_is_arraybuffer(env, buffer, &ordinary) != napi_ok || !ordinary) return nullptr;
  return get_backing_store(buffer);
}

}  // namespace flow::addon

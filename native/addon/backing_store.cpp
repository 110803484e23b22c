#include "addon/backing_store.h"

#include <dlfcn.h>

#include <atomic>
#include <utility>

namespace flow::addon {

namespace {

#ifdef __APPLE__

using V8Pointer = std::shared_ptr<const void>;  // the system's C++ library is node's and this addon's

bool knows_pointers_of_v8() { return true; }

#else

/// The control block of a std::shared_ptr as libstdc++ lays it out. node's V8 is built with libstdc++, the addon may be
/// built with another library. Its virtual functions are called through the table, as the ABI says: a class that
/// declares them has no implementation here, and GCC then takes the calls for impossible.
struct ControlBlock {
  using Function = void (*)(ControlBlock*);
  enum Slot { destructor, deleting_destructor, dispose, destroy };

  const Function* functions;
  std::atomic<int> uses;
  std::atomic<int> observers;

  void release() noexcept {
    if (uses.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    functions[dispose](this);
    if (observers.fetch_sub(1, std::memory_order_acq_rel) == 1) functions[destroy](this);
  }
};

/// A std::shared_ptr that V8 returned.
class V8Pointer {
 public:
  V8Pointer(V8Pointer&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)), control_(std::exchange(other.control_, nullptr)) {}
  V8Pointer(const V8Pointer&) = delete;
  V8Pointer& operator=(const V8Pointer&) = delete;
  V8Pointer& operator=(V8Pointer&&) = delete;
  ~V8Pointer() {
    if (control_ != nullptr) control_->release();
  }

 private:
  const void* object_;
  ControlBlock* control_;
};

/// A function of V8 whose name says that it takes libstdc++'s pointer. Electron's V8 has another library's.
bool knows_pointers_of_v8() {
  return dlsym(RTLD_DEFAULT, "_ZN2v811ArrayBuffer3NewEPNS_7IsolateESt10shared_ptrINS_12BackingStoreEE") != nullptr;
}

#endif

/// v8::ArrayBuffer::GetBackingStore. Node-API has no such function: a reference keeps the ArrayBuffer alive, but not
/// the memory that it is over. node exports this one since version 12. A napi_value is the address of a handle's slot,
/// which is `this` of a v8::Local, and v8::BackingStore is never looked into.
using GetBackingStore = V8Pointer (*)(napi_value array_buffer);

GetBackingStore find() {
  if (!knows_pointers_of_v8()) return nullptr;
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
  return std::make_shared<V8Pointer>(get_backing_store(buffer));
}

}  // namespace flow::addon

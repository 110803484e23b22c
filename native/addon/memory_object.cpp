#include "addon/memory_object.h"

#include "addon/failure.h"
#include "addon/host_buffer.h"

namespace flow::addon {

namespace {

/// The memory of an object, which its functions share. Only JavaScript's thread uses it.
class Held {
 public:
  Held(Napi::Env env, MemoryPtr memory, const std::shared_ptr<ModelWorker>& worker)
      : env_(env), memory_(std::move(memory)), worker_(worker) {
    adjust(static_cast<std::int64_t>(memory_->size()));
  }
  ~Held() { release(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  void release() {
    if (!memory_) return;
    adjust(-static_cast<std::int64_t>(memory_->size()));
    if (memory_->waits_at_end()) {
      let_go(std::move(memory_), worker_);
    } else {
      memory_.reset();
    }
  }

  Napi::Value view() const {
    const auto worker = worker_.lock();
    if (!memory_ || memory_->device() != Memory::host) return env_.Undefined();
    return host_buffer(env_, memory_, worker);
  }

 private:
  /// The garbage collector sees only a small object.
  void adjust(std::int64_t bytes) const { Napi::MemoryManagement::AdjustExternalMemory(env_, bytes); }

  Napi::Env env_;
  MemoryPtr memory_;
  std::weak_ptr<ModelWorker> worker_;
};

}  // namespace

Napi::Object memory_object(Napi::Env env, MemoryPtr memory, const std::shared_ptr<ModelWorker>& worker) {
  const int device = memory->device();
  const auto pointer = reinterpret_cast<std::uintptr_t>(memory->data());
  const auto bytes = static_cast<double>(memory->size());
  const auto held = std::make_shared<Held>(env, std::move(memory), worker);
  Napi::Object object = Napi::Object::New(env);
  if (device != Memory::host) object.Set("gpu", device);
  object.Set("pointer", Napi::BigInt::New(env, static_cast<std::uint64_t>(pointer)));
  object.Set("bytes", bytes);
  object.Set("view", Napi::Function::New(env, [held](const Napi::CallbackInfo& info) {
               return guarded(info.Env(), [&] { return held->view(); });
             }));
  object.Set("release", Napi::Function::New(env, [held](const Napi::CallbackInfo&) { held->release(); }));
  return object;
}

}  // namespace flow::addon

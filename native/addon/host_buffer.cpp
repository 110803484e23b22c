#include "addon/host_buffer.h"

namespace flow::addon {

namespace {

struct Owner {
  HostMemoryPtr memory;
  std::weak_ptr<ModelWorker> worker;
};

/// Runs on JavaScript's thread, when the buffer is collected or the environment ends. Freeing the memory may wait for
/// the GPU, so the model's thread does it. If that thread has ended or is stopping, the memory is freed here, and the
/// wait is short.
void release(napi_env /*env*/, void* /*data*/, void* hint) {
  const std::unique_ptr<Owner> owner(static_cast<Owner*>(hint));
  const auto worker = owner->worker.lock();
  if (!worker) return;
  try {
    worker->post_and_forget([memory = std::move(owner->memory)]() mutable { memory.reset(); });
  } catch (const std::bad_alloc&) {
    // The memory is freed here instead.
  }
}

}  // namespace

Napi::Value host_buffer(Napi::Env env, HostMemoryPtr memory, const std::shared_ptr<ModelWorker>& worker) {
  const std::span<std::byte> bytes = memory->bytes();
  auto owner = std::make_unique<Owner>(Owner{std::move(memory), worker});
  napi_value buffer = nullptr;
  // The garbage collector already counts the bytes of an external ArrayBuffer.
  const napi_status status =
      napi_create_external_arraybuffer(env, bytes.data(), bytes.size(), release, owner.get(), &buffer);
  if (status == napi_no_external_buffers_allowed) return env.Undefined();
  static_cast<void>(owner.release());  // after any other error `release` may still be called
  if (status != napi_ok) throw Napi::Error::New(env);
  return {env, buffer};
}

}  // namespace flow::addon

#include "addon/host_buffer.h"

namespace flow::addon {

namespace {

struct Owner {
  MemoryPtr memory;
  std::weak_ptr<ModelWorker> worker;
};

/// Runs on JavaScript's thread, when the buffer is collected or the environment ends.
void release(napi_env /*env*/, void* /*data*/, void* hint) {
  const std::unique_ptr<Owner> owner(static_cast<Owner*>(hint));
  let_go(std::move(owner->memory), owner->worker);
}

}  // namespace

void let_go(std::shared_ptr<const void> memory, const std::weak_ptr<ModelWorker>& worker) {
  const auto thread = worker.lock();
  if (!thread) return;
  try {
    thread->post_and_forget([memory = std::move(memory)]() mutable { memory.reset(); });
  } catch (const std::bad_alloc&) {
    // The memory is freed here instead.
  }
}

Napi::Value host_buffer(Napi::Env env, MemoryPtr memory, const std::shared_ptr<ModelWorker>& worker) {
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

#include "addon/home_thread.h"

#include <atomic>
#include <new>
#include <utility>

namespace flow::addon {

namespace {

/// A number that no other thread of the process has, or will have: systems give identifiers of threads again.
std::uint64_t this_thread() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local const std::uint64_t number = ++threads;
  return number;
}

/// Context of the thread-safe function. A weak pointer, because the function may outlive the object.
using Context = std::weak_ptr<HomeThread>;

/// A reference to an object of JavaScript, deleted on its thread.
class Kept {
 public:
  Kept(std::shared_ptr<HomeThread> home, const Napi::Object& object) : home_(std::move(home)), env_(object.Env()) {
    if (napi_create_reference(env_, object, 1, &reference_) != napi_ok) throw Napi::Error::New(env_);
  }
  ~Kept() {
    home_->run([home = home_, env = env_, reference = reference_] {
      if (!home->has_ended()) napi_delete_reference(env, reference);  // else the environment deletes it
    });
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

 private:
  std::shared_ptr<HomeThread> home_;
  napi_env env_;
  napi_ref reference_ = nullptr;
};

}  // namespace

std::shared_ptr<HomeThread> HomeThread::start(Napi::Env env) {
  auto home = std::make_shared<HomeThread>(this_thread());
  auto context = std::make_unique<Context>(home);
  const auto free_context = [](napi_env, void* data, void*) { delete static_cast<Context*>(data); };
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "dinov3-flow tensors"), 0, 1,
                                      context.get(), free_context, context.get(), on_wake, &home->wake_);
  if (status != napi_ok) throw Napi::Error::New(env);
  static_cast<void>(context.release());
  napi_unref_threadsafe_function(env, home->wake_);
  napi_add_env_cleanup_hook(env, on_environment_end, home.get());
  return home;
}

void HomeThread::run(std::function<void()> work) noexcept {
  if (this_thread() == thread_) return work();
  try {
    const std::lock_guard lock(mutex_);
    if (wake_ == nullptr) return;
    queue_.push_back(std::move(work));
    if (queue_.size() == 1) napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
  } catch (const std::bad_alloc&) {
    // dropped
  }
}

std::shared_ptr<const void> HomeThread::keep(const std::shared_ptr<HomeThread>& home, const Napi::Object& object) {
  return std::make_shared<const Kept>(home, object);
}

void HomeThread::on_wake(napi_env env, napi_value /*function*/, void* context, void* /*data*/) {
  if (env == nullptr) return;  // the environment is ending
  if (const auto home = static_cast<Context*>(context)->lock()) home->run_queued();
}

void HomeThread::on_environment_end(void* data) {
  auto* home = static_cast<HomeThread*>(data);
  napi_threadsafe_function wake = nullptr;
  {
    const std::lock_guard lock(home->mutex_);
    wake = std::exchange(home->wake_, nullptr);
  }
  home->run_queued();
  home->ended_ = true;
  napi_release_threadsafe_function(wake, napi_tsfn_release);
}

void HomeThread::run_queued() {
  std::vector<std::function<void()>> queued;
  {
    const std::lock_guard lock(mutex_);
    queued.swap(queue_);
  }
  for (const auto& work : queued) work();
}

}  // namespace flow::addon

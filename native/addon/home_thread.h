#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace flow::addon {

/// The thread of a JavaScript environment, for what other threads let go of and only this thread may free.
class HomeThread {
 public:
  /// On the thread itself, before anything of the environment that uses it: the hooks of an environment's end run last
  /// in, first out.
  static std::shared_ptr<HomeThread> start(Napi::Env env);
  explicit HomeThread(std::uint64_t thread) : thread_(thread) {}
  HomeThread(const HomeThread&) = delete;
  HomeThread& operator=(const HomeThread&) = delete;
  ~HomeThread() = default;

  /// Runs `work` on the thread: at once if called there, and else soon. Any thread. `work` must not throw. It is
  /// dropped if the environment has ended and this is another thread, or if memory runs out.
  void run(std::function<void()> work) noexcept;

  /// Whether the environment has ended, so that Node-API can no longer be called. On the thread itself.
  bool has_ended() const { return ended_; }

  /// Keeps an object of JavaScript alive, until the returned pointer is gone or the environment ends. On the thread
  /// itself; any thread may let go of the pointer.
  static std::shared_ptr<const void> keep(const std::shared_ptr<HomeThread>& home, const Napi::Object& object);

 private:
  static void on_wake(napi_env env, napi_value, void* context, void*);
  static void on_environment_end(void* home);
  void run_queued();

  const std::uint64_t thread_;
  bool ended_ = false;  // of the thread itself
  std::mutex mutex_;
  std::vector<std::function<void()>> queue_;
  napi_threadsafe_function wake_ = nullptr;  // null once the environment has ended
};

}  // namespace flow::addon

#pragma once

#include <napi.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "addon/failure.h"

namespace flow::addon {

/// Durations in a call's life, in milliseconds.
struct CallTiming {
  double wait = 0;  // from its posting to the start of its work
  double work = 0;
};

/// A call of JavaScript: work for the model's thread, and its answer.
struct Call {
  /// Runs on the model's thread.
  std::function<void()> work;
  /// May run on the model's thread before `work`, while the work of another call waits for a device.
  std::function<void()> prepare = {};
  /// Runs on JavaScript's thread after `work`, and makes the answer. If there is none, the answer is undefined.
  std::function<Napi::Value(Napi::Env, const CallTiming&)> result = {};
  /// Runs on JavaScript's thread at the end, whether `work` failed or not.
  std::function<void()> settled = {};
  /// Objects that must not be collected before the call is settled: the model, and the buffers that `work` reads and
  /// writes in place.
  std::vector<Napi::ObjectReference> keeps = {};
  /// Memory that must live as long, and that the end of the environment would free before the thread is waited for.
  std::vector<std::shared_ptr<const void>> holds = {};
};

/// A model's own thread: libuv's pool, which files and DNS share, is never blocked. Calls run one after the
/// other in the order of their posting. A synchronous call runs on JavaScript's thread if there is no other. Every
/// member function but `notify` and `abandoned` belongs to JavaScript's thread.
///
/// The process stays alive while a promise is pending, not because a worker exists. When its environment ends
/// (exit of the process, termination of a worker thread), what is queued is dropped, and what runs is waited
/// for: it uses memory of that environment.
class ModelWorker : public std::enable_shared_from_this<ModelWorker> {
 public:
  /// `last` runs on the thread before it ends, however that comes about.
  static std::shared_ptr<ModelWorker> start(Napi::Env env, std::function<void()> last);
  ~ModelWorker();
  ModelWorker(const ModelWorker&) = delete;
  ModelWorker& operator=(const ModelWorker&) = delete;

  /// `ticket` names the call for `cancel`; 0 is no name. Throws Error(disposed) after `stop`.
  Napi::Promise post(Napi::Env env, std::uint32_t ticket, Call call);
  /// As post, but nobody is told of the outcome. Does nothing after `stop`.
  void post_and_forget(std::function<void()> work);
  /// As post_and_forget, for work that takes no time: it is done at once if the thread is idle. It must not throw.
  void do_or_post(Napi::Env env, std::function<void()> work);
  /// Waits for the queued calls, then for this one. Throws what its work throws.
  Napi::Value run(Napi::Env env, Call call);
  /// Rejects a call that has not started with ERR_ABORTED.
  bool cancel(Napi::Env env, std::uint32_t ticket);
  /// Lets what is queued finish and ends the thread.
  Napi::Promise stop(Napi::Env env);
  /// As stop, and waits. The promises of what was queued are settled then.
  void stop_sync(Napi::Env env);

  /// For the work of a call while it waits for a device: prepares the next call, if there is one. Until that is done,
  /// `cancel` of that call waits.
  void prepare_next();

  /// Has `on_notice` called on JavaScript's thread soon, once for any number of notices.
  void notify();
  void set_on_notice(std::function<void(Napi::Env)> on_notice) { on_notice_ = std::move(on_notice); }
  /// `after_work` is called on JavaScript's thread some time after any work.
  void set_after_work(std::function<void(Napi::Env)> after_work) { after_work_ = std::move(after_work); }
  /// Whether the environment has ended, so that long work should give up.
  bool abandoned() const { return abandoned_; }

 private:
  struct Job {
    Call call;
    std::uint32_t ticket = 0;
    std::optional<Napi::Promise::Deferred> promise;
    std::optional<Failure> failure;
    std::chrono::steady_clock::time_point posted = std::chrono::steady_clock::now();
    CallTiming timing;
    void work();
    Napi::Value answer(Napi::Env env) const;
  };
  using JobPtr = std::unique_ptr<Job>;

  explicit ModelWorker(std::function<void()> last) : last_(std::move(last)) {}

  static void on_wake(napi_env env, napi_value, void* context, void*);
  static void on_environment_end(void* worker);
  void loop();
  bool is_idle();
  void run_on_thread(Job& job);
  void enqueue(JobPtr job);
  void settle_all(Napi::Env env);
  void settle(Napi::Env env, JobPtr job);
  void answer(Napi::Env env, Job& job);
  void close();

  std::function<void()> last_;
  std::function<void(Napi::Env)> on_notice_;
  std::function<void(Napi::Env)> after_work_;
  napi_env env_ = nullptr;
  napi_threadsafe_function wake_js_ = nullptr;
  int pending_ = 0;  // promises

  std::mutex mutex_;
  std::condition_variable wake_thread_;
  std::condition_variable prepared_;
  bool working_ = false;      // the thread, on a call
  Job* preparing_ = nullptr;  // in the queue, and not to be removed from it
  std::deque<JobPtr> queue_;
  std::deque<JobPtr> done_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> noticed_{false};
  bool environment_ended_ = false;
  std::thread thread_;
};

}  // namespace flow::addon

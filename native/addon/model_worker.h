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

/// Durations of a call, in milliseconds.
struct CallTiming {
  double wait = 0;  // from the call to the start of its work
  double work = 0;
};

/// A call from JavaScript: work for the model's thread, and how it is answered.
struct Call {
  /// Runs on the model's thread.
  std::function<void()> work;
  /// Runs on the model's thread after `work` if `unfinished` says so. The work of the next call may begin before.
  std::function<void()> finish = {};
  /// Whether `work` has left something to `finish`. Set it with `finish`.
  std::function<bool()> unfinished = {};
  /// May run on the model's thread before `work`, while the work of another call waits for a device.
  std::function<void()> prepare = {};
  /// Runs on the model's thread instead of `work` if the call is cancelled after `prepare` has begun: ends what that
  /// has started. Set it with `prepare`.
  std::function<void()> withdraw = {};
  /// Makes the answer, on JavaScript's thread after `work`. Without it the answer is undefined.
  std::function<Napi::Value(Napi::Env, const CallTiming&)> result = {};
  /// Runs on JavaScript's thread at the end, whether `work` failed or not.
  std::function<void()> settled = {};
  /// Objects that must not be collected before the call is settled: the model, and the buffers that `work` reads and
  /// writes in place.
  std::vector<Napi::ObjectReference> keeps = {};
  /// The memory of these buffers. `keeps` is not enough for it: JavaScript may transfer a buffer, and the end of the
  /// environment frees buffers before the thread has ended.
  std::vector<std::shared_ptr<const void>> holds = {};
};

/// A model's own thread. So libuv's thread pool, which file I/O and DNS share, is never blocked. Calls run one after
/// the other, in the order in which they were posted, and are answered in this order. A synchronous call runs on
/// JavaScript's thread if the model's thread is idle. All member functions except `work_ahead`, `notify` and
/// `abandoned` must be called on JavaScript's thread.
///
/// A pending promise keeps the process alive; an idle worker does not. When the environment ends (the process exits, or
/// a worker thread is terminated), queued calls are dropped. The running call is waited for, because it uses memory of
/// the environment.
class ModelWorker : public std::enable_shared_from_this<ModelWorker> {
 public:
  /// The thread always runs `last` before it ends. `last` may run twice.
  static std::shared_ptr<ModelWorker> start(Napi::Env env, std::function<void()> last);
  ~ModelWorker();
  ModelWorker(const ModelWorker&) = delete;
  ModelWorker& operator=(const ModelWorker&) = delete;

  /// `ticket` identifies the call for `cancel`; a call with ticket 0 cannot be cancelled. Throws Error(disposed) after
  /// `stop`.
  Napi::Promise post(Napi::Env env, std::uint32_t ticket, Call call);
  /// As post, without a promise. Does nothing after `stop`.
  void post_and_forget(std::function<void()> work);
  /// Does short work at once if the thread is idle; else once the calls before have begun: after them, or within
  /// `work_ahead` of the last of them. Does nothing after `stop`. `work` must not throw.
  void do_soon(Napi::Env env, std::function<void()> work);
  /// Waits for the queued calls and for this one. Returns its answer, or throws the error of its work.
  Napi::Value run(Napi::Env env, Call call);
  /// If the call has not started, rejects it with ERR_ABORTED and returns true. A call that is prepared already is
  /// rejected once the running call is done, because the device may still read its memory.
  bool cancel(Napi::Env env, std::uint32_t ticket);
  /// Ends the thread after the queued calls.
  Napi::Promise stop(Napi::Env env);
  /// As stop, but blocks. The promises of the queued calls are settled when it returns.
  void stop_sync(Napi::Env env);

  /// Finishes the call before the running one, if it is unfinished, does short work, and prepares the next call in the
  /// queue, if there is one. The running call uses this while it waits for a device. Returns whether the call before
  /// was unfinished or the next one is prepared: calls come faster than they are answered.
  bool work_ahead();

  /// Schedules `on_notice` on JavaScript's thread. Several calls of `notify` may result in one call of `on_notice`, the
  /// last of which comes before the answer of the call that notified.
  void notify();
  void set_on_notice(std::function<void(Napi::Env)> on_notice) { on_notice_ = std::move(on_notice); }
  /// `after_work` runs on JavaScript's thread after one or more calls are done.
  void set_after_work(std::function<void(Napi::Env)> after_work) { after_work_ = std::move(after_work); }
  /// Whether the environment has ended. Long work should give up then.
  bool abandoned() const { return abandoned_; }

 private:
  struct Job {
    Call call;
    std::uint32_t ticket = 0;
    std::optional<Napi::Promise::Deferred> promise;
    std::optional<Failure> failure;
    std::chrono::steady_clock::time_point posted = std::chrono::steady_clock::now();
    CallTiming timing;
    bool is_short = false;   // posted by do_soon
    bool prepared = false;   // `prepare` has begun, so the job stays in the queue until its turn. Under the mutex
    bool cancelled = false;  // after `prepare` had begun. Under the mutex while the job is in the queue
    void work();
    bool is_unfinished() const { return !failure && call.unfinished && call.unfinished(); }
    void finish();
    Napi::Value answer(Napi::Env env) const;
  };
  using JobPtr = std::unique_ptr<Job>;

  explicit ModelWorker(std::function<void()> last) : last_(std::move(last)) {}

  static void on_wake(napi_env env, napi_value, void* context, void*);
  static void on_environment_end(void* worker);
  void loop();
  bool is_idle();
  void work_through(JobPtr job);
  bool finish_last();
  void do_short_work();
  void answer_later(JobPtr job);
  JobPtr take_successor();
  void run_on_thread(Job& job);
  void enqueue(JobPtr job);
  void settle_all(Napi::Env env);
  void tell_notice(Napi::Env env);
  void settle(Napi::Env env, JobPtr job);
  void answer(Napi::Env env, Job& job);
  void close();

  std::function<void()> last_;
  std::function<void(Napi::Env)> on_notice_;
  std::function<void(Napi::Env)> after_work_;
  napi_env env_ = nullptr;
  napi_threadsafe_function wake_js_ = nullptr;
  int pending_ = 0;  // promises that are not settled

  std::mutex mutex_;
  std::condition_variable wake_thread_;
  bool working_ = false;  // the thread runs a call
  JobPtr last_job_;       // unfinished, while the next one runs. Of the model's thread
  std::deque<JobPtr> queue_;
  std::deque<JobPtr> done_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> noticed_{false};
  bool environment_ended_ = false;
  std::thread thread_;
};

}  // namespace flow::addon

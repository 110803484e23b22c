#include "addon/model_worker.h"

#include <algorithm>
#include <future>
#include <utility>

namespace flow::addon {

namespace {

Error disposed() { return {ErrorCode::disposed, "the model was disposed"}; }

Failure aborted() { return {ErrorCode::aborted, "the call was aborted before it started"}; }

double milliseconds(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

/// Context of the thread-safe function. A weak pointer, because the function may outlive the worker.
using Context = std::weak_ptr<ModelWorker>;

}  // namespace

void ModelWorker::Job::work() {
  const auto started = std::chrono::steady_clock::now();
  try {
    if (cancelled) {
      call.withdraw();
    } else {
      call.work();
    }
  } catch (...) {
    failure = current_failure();
  }
  if (cancelled) failure = aborted();
  timing = {milliseconds(posted, started), milliseconds(started, std::chrono::steady_clock::now())};
}

void ModelWorker::Job::finish() {
  if (!is_unfinished()) return;
  try {
    call.finish();
  } catch (...) {
    failure = current_failure();
  }
}

Napi::Value ModelWorker::Job::answer(Napi::Env env) const {
  return call.result ? call.result(env, timing) : env.Undefined();
}

std::shared_ptr<ModelWorker> ModelWorker::start(Napi::Env env, std::function<void()> last) {
  std::shared_ptr<ModelWorker> worker(new ModelWorker(std::move(last)));
  worker->env_ = env;
  auto context = std::make_unique<Context>(worker);
  const auto free_context = [](napi_env, void* data, void*) { delete static_cast<Context*>(data); };
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "dinov3-flow model"), 0, 1,
                                      context.get(), free_context, context.get(), on_wake, &worker->wake_js_);
  if (status != napi_ok) throw Napi::Error::New(env);
  static_cast<void>(context.release());
  napi_unref_threadsafe_function(env, worker->wake_js_);
  // Hooks run last in, first out. So the thread has ended before the thread-safe function's own hook runs.
  napi_add_env_cleanup_hook(env, on_environment_end, worker.get());
  worker->thread_ = std::thread([w = worker.get()] { w->loop(); });
  return worker;
}

ModelWorker::~ModelWorker() {
  if (environment_ended_) return;
  close();
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
}

void ModelWorker::on_environment_end(void* data) {
  auto* worker = static_cast<ModelWorker*>(data);
  worker->abandoned_ = true;
  worker->on_notice_ = nullptr;
  worker->after_work_ = nullptr;
  worker->close();
  worker->done_.clear();
  worker->environment_ended_ = true;
}

/// Drops what is still queued and waits for the thread.
void ModelWorker::close() {
  std::deque<JobPtr> dropped;  // freed on this thread, to which its JavaScript references belong
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  wake_thread_.notify_one();
  if (thread_.joinable()) thread_.join();
  if (wake_js_ != nullptr) napi_release_threadsafe_function(wake_js_, napi_tsfn_release);
  wake_js_ = nullptr;
}

// ---- the model's thread ---------------------------------------------------------------------------------------------

void ModelWorker::loop() {
  for (;;) {
    JobPtr job;
    {
      std::unique_lock lock(mutex_);
      wake_thread_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) break;
      job = std::move(queue_.front());
      queue_.pop_front();
      working_ = true;
    }
    work_through(std::move(job));
  }
  last_();
}

/// Runs a call, and those after it as long as each leaves something to `finish` that the next one need not wait for.
void ModelWorker::work_through(JobPtr job) {
  for (;;) {
    job->work();
    finish_last();
    JobPtr next = job->is_unfinished() ? take_successor() : nullptr;
    if (!next) break;
    last_job_ = std::exchange(job, std::move(next));
  }
  job->finish();
  const std::lock_guard lock(mutex_);
  working_ = false;
  answer_later(std::move(job));
}

/// Hands a call that is done to JavaScript's thread. Call this under the mutex.
void ModelWorker::answer_later(JobPtr job) {
  done_.push_back(std::move(job));
  napi_call_threadsafe_function(wake_js_, nullptr, napi_tsfn_nonblocking);
}

bool ModelWorker::finish_last() {
  if (!last_job_) return false;
  last_job_->finish();
  const std::lock_guard lock(mutex_);
  answer_later(std::move(last_job_));
  return true;
}

/// The call at the front of the queue if it may run before the one before it is finished, else null.
ModelWorker::JobPtr ModelWorker::take_successor() {
  do_short_work();
  const std::lock_guard lock(mutex_);
  if (queue_.empty() || !queue_.front()->call.prepare) return nullptr;
  JobPtr job = std::move(queue_.front());
  queue_.pop_front();
  return job;
}

/// A stream frees the features of a frame whenever one is answered. That must not keep the next frame from preparation.
void ModelWorker::do_short_work() {
  for (;;) {
    JobPtr job;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty() || !queue_.front()->is_short) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job->work();
    const std::lock_guard lock(mutex_);
    answer_later(std::move(job));
  }
}

bool ModelWorker::work_ahead() {
  const bool was_unfinished = finish_last();
  do_short_work();
  Job* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.empty() || !queue_.front()->call.prepare || abandoned_) return was_unfinished;
    next = queue_.front().get();
    if (std::exchange(next->prepared, true)) return true;
  }
  try {
    next->call.prepare();
  } catch (const std::exception&) {
    // `work` meets the same error, and reports it.
  }
  return true;
}

void ModelWorker::notify() {
  if (!noticed_.exchange(true)) napi_call_threadsafe_function(wake_js_, nullptr, napi_tsfn_nonblocking);
}

// ---- JavaScript's thread --------------------------------------------------------------------------------------------

void ModelWorker::enqueue(JobPtr job) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  wake_thread_.notify_one();
}

Napi::Promise ModelWorker::post(Napi::Env env, std::uint32_t ticket, Call call) {
  if (stopping_) throw disposed();
  auto job = std::make_unique<Job>();
  job->call = std::move(call);
  job->ticket = ticket;
  job->promise = Napi::Promise::Deferred::New(env);
  const Napi::Promise promise = job->promise->Promise();
  enqueue(std::move(job));
  if (pending_++ == 0) napi_ref_threadsafe_function(env, wake_js_);
  return promise;
}

void ModelWorker::post_and_forget(std::function<void()> work) {
  if (stopping_) return;
  auto job = std::make_unique<Job>();
  job->call.work = std::move(work);
  enqueue(std::move(job));
}

void ModelWorker::do_soon(Napi::Env env, std::function<void()> work) {
  if (stopping_) return;
  if (is_idle()) {
    work();
    if (after_work_) after_work_(env);
    return;
  }
  auto job = std::make_unique<Job>();
  job->call.work = std::move(work);
  job->is_short = true;
  enqueue(std::move(job));
}

Napi::Value ModelWorker::run(Napi::Env env, Call call) {
  if (stopping_) throw disposed();
  Job job;
  job.call = std::move(call);
  // An idle thread stays idle, because only this thread posts calls. Work on this thread saves two thread switches.
  if (is_idle()) {
    job.work();
    job.finish();
    if (after_work_) after_work_(env);
  } else {
    run_on_thread(job);
  }
  if (job.failure) throw Error(job.failure->code, job.failure->message);
  return job.answer(env);
}

bool ModelWorker::is_idle() {
  const std::lock_guard lock(mutex_);
  return queue_.empty() && !working_;
}

void ModelWorker::run_on_thread(Job& job) {
  // Shared: the thread may still be inside set_value when get returns.
  const auto done = std::make_shared<std::promise<void>>();
  post_and_forget([&job, done] {
    job.work();
    job.finish();
    done->set_value();
  });
  done->get_future().get();
}

bool ModelWorker::cancel(Napi::Env env, std::uint32_t ticket) {
  JobPtr job;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(queue_, [&](const JobPtr& j) { return j->ticket == ticket; });
    if (ticket == 0 || found == queue_.end()) return false;
    if ((*found)->prepared) {
      (*found)->cancelled = true;
      return true;
    }
    job = std::move(*found);
    queue_.erase(found);
  }
  job->failure = aborted();
  settle(env, std::move(job));
  return true;
}

Napi::Promise ModelWorker::stop(Napi::Env env) {
  if (stopping_) {
    const auto stopped = Napi::Promise::Deferred::New(env);
    stopped.Resolve(env.Undefined());
    return stopped.Promise();
  }
  const Napi::Promise promise = post(env, 0, {.work = last_});
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_thread_.notify_one();
  return promise;
}

void ModelWorker::stop_sync(Napi::Env env) {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_thread_.notify_one();
  if (thread_.joinable()) thread_.join();
  settle_all(env);
  close();
}

void ModelWorker::on_wake(napi_env env, napi_value /*function*/, void* context, void* /*data*/) {
  if (env == nullptr) return;  // the environment is ending
  if (const auto worker = static_cast<Context*>(context)->lock()) worker->settle_all(env);
}

void ModelWorker::settle_all(Napi::Env env) {
  if (after_work_) after_work_(env);
  for (;;) {
    JobPtr job;
    {
      const std::lock_guard lock(mutex_);
      if (!done_.empty()) {
        job = std::move(done_.front());
        done_.pop_front();
      }
    }
    tell_notice(env);  // after the job was taken, before it is settled: a call's last notice comes before its answer
    if (!job) return;
    if (job->promise) settle(env, std::move(job));
  }
}

void ModelWorker::tell_notice(Napi::Env env) {
  if (!noticed_.exchange(false) || !on_notice_) return;
  try {
    const auto on_notice = on_notice_;  // a copy: the call may replace the member
    on_notice(env);
  } catch (const Napi::Error&) {
    // lib/'s callbacks do not throw: the environment no longer runs JavaScript
  }
}

void ModelWorker::settle(Napi::Env env, JobPtr job) {
  const Napi::HandleScope scope(env);
  try {
    answer(env, *job);
  } catch (const Napi::Error&) {
    // the environment no longer runs JavaScript: the answer is dropped
  }
  if (job->call.settled) job->call.settled();
  if (--pending_ > 0) return;
  if (wake_js_ != nullptr) napi_unref_threadsafe_function(env, wake_js_);
  if (stopping_) close();  // all promises are settled, and the thread is ending
}

void ModelWorker::answer(Napi::Env env, Job& job) {
  if (!job.failure) {
    try {
      job.promise->Resolve(job.answer(env));
      return;
    } catch (const Napi::Error&) {
      throw;
    } catch (...) {
      job.failure = current_failure();
    }
  }
  job.promise->Reject(to_js_error(env, *job.failure).Value());
}

}  // namespace flow::addon

#include "cuda/event_pool.h"

#include <new>
#include <utility>

namespace flow::cuda {

std::shared_ptr<const Event> EventPool::take() {
  std::unique_ptr<const Event> event;
  {
    const std::lock_guard lock(mutex_);
    if (!unused_.empty()) {
      event = std::move(unused_.back());
      unused_.pop_back();
    }
  }
  if (!event) event = std::make_unique<const Event>(context_);
  return {event.release(),
          [pool = shared_from_this()](const Event* used) { pool->put_back(std::unique_ptr<const Event>(used)); }};
}

void EventPool::put_back(std::unique_ptr<const Event> event) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    unused_.push_back(std::move(event));
  } catch (const std::bad_alloc&) {
    // the event is destroyed
  }
}

}  // namespace flow::cuda

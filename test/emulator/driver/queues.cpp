#include "queues.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

namespace emu {

using namespace flow::cuda;

namespace {

struct Order {
  enum { at_once, late, random } kind = at_once;
  std::uint64_t seed = 0;

  static Order from_environment() {
    const char* const text = std::getenv("EMULATOR_STREAMS");
    if (text == nullptr || *text == '\0') return {};
    if (std::string_view(text) == "late") return {late};
    return {random, std::strtoull(text, nullptr, 10)};
  }
};

/// The first point that is not passed, or null.
PointPtr first_ahead(const std::vector<PointPtr>& points) {
  const auto found = std::ranges::find_if(points, [](const PointPtr& point) { return !point->is_passed(); });
  return found == points.end() ? nullptr : *found;
}

}  // namespace

bool Queues::at_once() {
  if (Order::from_environment().kind != Order::at_once) return false;
  run_all();
  return true;
}

PointPtr Queues::add(const QueuePtr& queue, std::vector<PointPtr> after, Operation operation) {
  const auto end = std::make_shared<Point>(queue);
  if (queue->work_.empty()) {
    busy_.push_back(queue);
    // A stream that is far behind the others, or far ahead of them, shows more than streams in step.
    queue->asleep_ = random() % 4 == 0 ? static_cast<unsigned>(random() % 64) : 0;
  }
  queue->work_.push_back({std::move(operation), std::move(after), end});
  run_some();
  return end;
}

PointPtr Queues::end_of(const Queue& queue) { return queue.work_.empty() ? nullptr : queue.work_.back().end; }

std::vector<PointPtr> Queues::ends_of_blocking() const {
  std::vector<PointPtr> ends;
  for (const QueuePtr& queue : busy_) {
    if (queue->blocking) ends.push_back(end_of(*queue));
  }
  return ends;
}

std::size_t Queues::choose(std::size_t count) {
  switch (Order::from_environment().kind) {
    case Order::at_once: return 0;
    case Order::late: return count - 1;
    case Order::random: break;
  }
  return random() % count;
}

void Queues::run_some() {
  switch (const Order order = Order::from_environment(); order.kind) {
    case Order::at_once: run_all(); return;
    case Order::late: return;
    case Order::random:
      if (std::exchange(seed_, order.seed) != order.seed) generator_.seed(order.seed);
      break;
  }
  for (const QueuePtr& queue : busy_) queue->asleep_ -= queue->asleep_ > 0 ? 1 : 0;
  while (random() % 3 != 0) {
    std::vector<QueuePtr> ready;
    std::ranges::copy_if(busy_, std::back_inserter(ready),
                         [&](const QueuePtr& queue) { return queue->asleep_ == 0 && may_run(*queue); });
    if (ready.empty()) return;
    run_front(ready[random() % ready.size()]);
  }
}

void Queues::run_until(const PointPtr& point) {
  if (point == nullptr) return;
  while (const QueuePtr queue = point->queue) {
    // An item waits only for items that were submitted before it, so this recursion ends.
    if (const PointPtr ahead = first_ahead(queue->work_.front().after)) {
      run_until(ahead);
    } else {
      run_front(queue);
    }
    if (!point->is_passed()) run_some();
  }
}

void Queues::run_all() {
  while (!busy_.empty()) {
    const auto ready = std::ranges::find_if(busy_, [&](const QueuePtr& queue) { return may_run(*queue); });
    run_front(*ready);  // the work that was submitted first is always ready
  }
}

bool Queues::may_run(const Queue& queue) const { return first_ahead(queue.work_.front().after) == nullptr; }

void Queues::run_front(const QueuePtr& queue) {
  const QueuePtr kept = queue;
  Queue::Work work = std::move(kept->work_.front());
  kept->work_.pop_front();
  if (kept->work_.empty()) std::erase(busy_, kept);
  if (error_ == CUDA_SUCCESS) {
    if (const CUresult result = work.operation(); result != CUDA_SUCCESS) error_ = result;
  }
  work.end->queue = nullptr;
}

std::uint64_t Queues::random() { return generator_(); }

}  // namespace emu

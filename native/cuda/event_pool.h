#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "cuda/stream.h"

namespace flow::cuda {

/// Events that are made once and used again. Any thread.
class EventPool : public std::enable_shared_from_this<EventPool> {
 public:
  explicit EventPool(ContextPtr context) : context_(std::move(context)) {}

  /// An event that nobody else has. It comes back to the pool with the last copy of the pointer.
  std::shared_ptr<const Event> take();

 private:
  void put_back(std::unique_ptr<const Event> event) noexcept;

  ContextPtr context_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<const Event>> unused_;
};

}  // namespace flow::cuda

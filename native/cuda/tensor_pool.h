#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "cuda/event_pool.h"
#include "cuda/memory.h"

namespace flow::cuda {

/// Device memory of tensors. cuMemFree waits for all work on the device, of other modules as well, and so may
/// cuMemAlloc. So a block that a tensor no longer needs is kept, and the next tensor of that size gets it.
///
/// The calls that use a tensor hold its memory until they are answered. So no work of an engine is in flight on a block
/// that is given back. A stream of other code that uses the tensor may have some: the zeros that the next tensor begins
/// with wait for it.
class TensorPool : public std::enable_shared_from_this<TensorPool> {
 public:
  /// The process's only pool for the context's device. Any thread, as all functions.
  static std::shared_ptr<TensorPool> of(const ContextPtr& context);
  /// Frees the blocks of the context's device that no tensor has. Returns whether there were any.
  static bool drain(const Context& context);

  explicit TensorPool(const ContextPtr& context);

  /// Zeros, known by their addresses. The thread that lets go of them last gives them back. `user` is a stream of other
  /// code, as in MarkedStream. Throws Error(device), Error(out_of_memory).
  MemoryPtr allocate(std::size_t bytes, std::optional<std::uint64_t> user);

 private:
  friend class TensorMemory;
  using Block = std::unique_ptr<const DeviceMemory>;

  Block take(std::size_t bytes);
  void give_back(Block block, std::optional<std::uint64_t> user);
  bool waits_for(std::uint64_t user);
  bool has_room(std::size_t bytes) const;

  const Stream stream_;
  const std::shared_ptr<EventPool> marks_;
  const std::size_t most_;  // bytes that are kept
  mutable std::mutex mutex_;
  std::deque<Block> blocks_;  // the one given back last is at the end
  std::size_t bytes_ = 0;     // of all blocks
};

/// A block that a tensor has.
class TensorMemory : public Memory {
 public:
  TensorMemory(std::shared_ptr<TensorPool> pool, TensorPool::Block block, std::optional<std::uint64_t> user)
      : pool_(std::move(pool)), block_(std::move(block)), user_(user) {}
  ~TensorMemory() override {
    if (!kept_out_) pool_->give_back(std::move(block_), user_);
  }
  TensorMemory(const TensorMemory&) = delete;
  TensorMemory& operator=(const TensorMemory&) = delete;

  void* data() const override { return block_->data(); }
  std::size_t size() const override { return block_->size(); }
  int device() const override { return block_->device(); }
  bool waits_at_end() const override { return kept_out_ || !pool_->has_room(size()); }

  /// No other tensor gets the block, because another process may still look at it.
  void keep_out_of_pool() const { kept_out_ = true; }

 private:
  std::shared_ptr<TensorPool> pool_;
  TensorPool::Block block_;
  std::optional<std::uint64_t> user_;
  mutable std::atomic<bool> kept_out_{false};
};

}  // namespace flow::cuda

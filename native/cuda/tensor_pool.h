#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>

#include "cuda/memory.h"

namespace flow::cuda {

/// Device memory of tensors. cuMemFree waits for all work on the device, of other modules as well, and so may
/// cuMemAlloc. So a block that a tensor no longer needs is kept, and the next tensor of that size gets it.
///
/// The calls that use a tensor hold its memory until they are answered. So no work of an engine is in flight on a block
/// that is given back, and the zeros that a new tensor begins with need not wait for any. A block that other code may
/// use as well, on its own stream or in another process, is freed instead.
class TensorPool : public std::enable_shared_from_this<TensorPool> {
 public:
  /// The process's only pool for the context's device. Any thread, as all functions.
  static std::shared_ptr<TensorPool> of(const ContextPtr& context);
  /// Frees the blocks of the context's device that no tensor has. Returns whether there were any.
  static bool drain(const Context& context);
  /// Whether an address is in a block of the context's device that no tensor has.
  static bool is_unused(const Context& context, const void* address);

  explicit TensorPool(const ContextPtr& context);

  /// Zeros, known by their addresses. The thread that lets go of them last gives them back. Throws Error(device),
  /// Error(out_of_memory).
  MemoryPtr allocate(std::size_t bytes);

 private:
  friend class TensorMemory;
  static std::shared_ptr<TensorPool> find(const Context& context);
  using Block = std::unique_ptr<const DeviceMemory>;

  Block take(std::size_t bytes);
  Block take_excess();
  void give_back(Block block) noexcept;
  bool has_room(std::size_t bytes) const;

  const Stream stream_;
  const std::size_t most_;  // bytes that are kept
  mutable std::mutex mutex_;
  std::deque<Block> blocks_;  // the one given back last is at the end
  std::size_t bytes_ = 0;     // of all blocks
};

/// A block that a tensor has.
class TensorMemory : public Memory {
 public:
  TensorMemory(std::shared_ptr<TensorPool> pool, TensorPool::Block block)
      : pool_(std::move(pool)), block_(std::move(block)) {}
  ~TensorMemory() override {
    if (!kept_out_) pool_->give_back(std::move(block_));
  }
  TensorMemory(const TensorMemory&) = delete;
  TensorMemory& operator=(const TensorMemory&) = delete;

  void* data() const override { return block_->data(); }
  std::size_t size() const override { return block_->size(); }
  int device() const override { return block_->device(); }
  bool waits_at_end() const override { return kept_out_ || !pool_->has_room(size()); }

  /// No other tensor gets the block.
  void expect_other_users() const override { kept_out_ = true; }

 private:
  std::shared_ptr<TensorPool> pool_;
  TensorPool::Block block_;
  mutable std::atomic<bool> kept_out_{false};
};

}  // namespace flow::cuda

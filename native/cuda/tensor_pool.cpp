#include "cuda/tensor_pool.h"

#include <algorithm>
#include <functional>
#include <map>
#include <new>
#include <utility>

#include "engine/known_memory.h"

namespace flow::cuda {

namespace {

struct Registry {
  std::mutex mutex;
  std::map<int, std::weak_ptr<TensorPool>> pools;  // by the index of the device
};

Registry& registry() {
  static Registry& all = *new Registry;  // never destroyed: threads may outlive the static objects
  return all;
}

/// The part of a device's memory that blocks without a tensor may take.
constexpr std::size_t kept_share = 16;

}  // namespace

std::shared_ptr<TensorPool> TensorPool::of(const ContextPtr& context) {
  const std::lock_guard lock(registry().mutex);
  std::weak_ptr<TensorPool>& entry = registry().pools[context->device().index];
  if (auto pool = entry.lock()) return pool;
  auto pool = std::make_shared<TensorPool>(context);
  entry = pool;
  return pool;
}

std::shared_ptr<TensorPool> TensorPool::find(const Context& context) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().pools.find(context.device().index);
  return found == registry().pools.end() ? nullptr : found->second.lock();
}

bool TensorPool::drain(const Context& context) {
  const std::shared_ptr<TensorPool> pool = find(context);
  if (!pool) return false;
  std::deque<Block> freed;  // outside of the lock: freeing waits for the device
  const std::lock_guard lock(pool->mutex_);
  freed.swap(pool->blocks_);
  pool->bytes_ = 0;
  return !freed.empty();
}

bool TensorPool::is_unused(const Context& context, const void* address) {
  const std::shared_ptr<TensorPool> pool = find(context);
  if (!pool) return false;
  const std::lock_guard lock(pool->mutex_);
  return std::ranges::any_of(pool->blocks_, [&](const Block& block) {
    const auto* const begin = static_cast<const std::byte*>(block->data());
    return std::less_equal<>()(begin, address) &&
           std::less<>()(address, static_cast<const void*>(begin + block->size()));
  });
}

TensorPool::TensorPool(const ContextPtr& context) : stream_(context), most_(context->device().memory / kept_share) {}

MemoryPtr TensorPool::allocate(std::size_t bytes) {
  const Context::Scope scope(*stream_.context());
  Block block = take(bytes);
  if (block) {
    check(driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(block->data()), 0, bytes, stream_.get()),
          "cuMemsetD8Async");
  } else {
    block = std::make_unique<const DeviceMemory>(bytes, stream_);
  }
  stream_.synchronize();  // no other stream waits for the zeros
  auto memory = std::make_shared<const TensorMemory>(shared_from_this(), std::move(block));
  make_known(memory);
  return memory;
}

/// The block of that size that was given back last: its addresses are those that graphs were recorded with. Else null.
TensorPool::Block TensorPool::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(blocks_.rbegin(), blocks_.rend(), [&](const Block& b) { return b->size() == bytes; });
  if (found == blocks_.rend()) return nullptr;
  Block block = std::move(*found);
  blocks_.erase(std::next(found).base());
  bytes_ -= bytes;
  return block;
}

void TensorPool::give_back(Block block) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    blocks_.push_back(std::move(block));
    bytes_ += blocks_.back()->size();
  } catch (const std::bad_alloc&) {
    return;  // the block is freed
  }
  while (take_excess()) {
  }
}

/// The block that was given back first if all of them are too many, else null. The caller frees it, outside of the
/// lock: that waits for the device.
TensorPool::Block TensorPool::take_excess() {
  const std::lock_guard lock(mutex_);
  if (bytes_ <= most_) return nullptr;
  Block block = std::move(blocks_.front());
  blocks_.pop_front();
  bytes_ -= block->size();
  return block;
}

bool TensorPool::has_room(std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  return bytes_ + bytes <= most_;
}

}  // namespace flow::cuda

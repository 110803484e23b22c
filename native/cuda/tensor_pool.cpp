#include "cuda/tensor_pool.h"

#include <algorithm>
#include <map>
#include <utility>

#include "cuda/marked_stream.h"
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

bool TensorPool::drain(const Context& context) {
  std::shared_ptr<TensorPool> pool;
  {
    const std::lock_guard lock(registry().mutex);
    const auto found = registry().pools.find(context.device().index);
    if (found != registry().pools.end()) pool = found->second.lock();
  }
  if (!pool) return false;
  std::deque<Block> freed;  // outside of the lock: freeing waits for the device
  const std::lock_guard lock(pool->mutex_);
  freed.swap(pool->blocks_);
  pool->bytes_ = 0;
  return !freed.empty();
}

TensorPool::TensorPool(const ContextPtr& context)
    : stream_(context), marks_(std::make_shared<EventPool>(context)), most_(context->device().memory / kept_share) {}

MemoryPtr TensorPool::allocate(std::size_t bytes, std::optional<std::uint64_t> user) {
  const Context::Scope scope(*stream_.context());
  Block block = take(bytes);
  if (block) {
    check(driver().cuMemsetD8Async(reinterpret_cast<CUdeviceptr>(block->data()), 0, bytes, stream_.get()),
          "cuMemsetD8Async");
  } else {
    block = std::make_unique<const DeviceMemory>(bytes, stream_);
  }
  stream_.synchronize();  // no other stream waits for the zeros
  auto memory = std::make_shared<const TensorMemory>(shared_from_this(), std::move(block), user);
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

/// Lets the zeros of later tensors wait for what a stream of other code has. False if it cannot be named any more: it
/// was destroyed, or is the default stream of a thread, which may be another one.
bool TensorPool::waits_for(std::uint64_t user) {
  if (user == CU_STREAM_PER_THREAD) return false;
  const Context::Scope scope(*stream_.context());
  try {
    stream_.wait(MarkedStream::mark(stream_.context(), *marks_, user)->marked());
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Frees the blocks that were given back first if all of them are too many.
void TensorPool::give_back(Block block, std::optional<std::uint64_t> user) {
  if (user && !waits_for(*user)) return;  // cuMemFree waits for all streams
  std::deque<Block> freed;                // outside of the lock: freeing waits for the device
  const std::lock_guard lock(mutex_);
  bytes_ += block->size();
  blocks_.push_back(std::move(block));
  while (bytes_ > most_) {
    bytes_ -= blocks_.front()->size();
    freed.push_back(std::move(blocks_.front()));
    blocks_.pop_front();
  }
}

bool TensorPool::has_room(std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  return bytes_ + bytes <= most_;
}

}  // namespace flow::cuda

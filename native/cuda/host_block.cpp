#include "cuda/host_block.h"

#include <cstring>
#include <map>
#include <mutex>

namespace flow::cuda {

namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::uintptr_t, std::weak_ptr<const HostBlock>> blocks;  // by first address
};

Registry& registry() {
  static Registry& all = *new Registry;  // never destroyed: threads may outlive the static objects
  return all;
}

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

}  // namespace

HostBlock::HostBlock(const ContextPtr& context, std::size_t bytes) : memory_(context, bytes) {
  std::memset(memory_.data(), 0, bytes);
}

HostBlock::~HostBlock() {
  const std::lock_guard lock(registry().mutex);
  registry().blocks.erase(number(memory_.data()));
}

HostBlockPtr HostBlock::allocate(const ContextPtr& context, std::size_t bytes) {
  auto block = std::make_shared<const HostBlock>(context, bytes);
  const std::lock_guard lock(registry().mutex);
  registry().blocks[number(block->bytes().data())] = block;
  return block;
}

HostBlockPtr HostBlock::holding(std::span<const std::byte> bytes) {
  const std::uintptr_t first = number(bytes.data());
  HostBlockPtr block;  // before the lock: should this be its last owner, its end needs the registry
  const std::lock_guard lock(registry().mutex);
  const auto next = registry().blocks.upper_bound(first);
  if (next == registry().blocks.begin()) return nullptr;
  const auto& [start, entry] = *std::prev(next);
  block = entry.lock();
  if (!block) return nullptr;
  const std::size_t offset = first - start, size = block->bytes().size();
  return offset <= size && bytes.size() <= size - offset ? block : nullptr;
}

std::byte* HostBlock::device_address(const void* host) const {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): addresses of the driver's are integers
  auto* const start = reinterpret_cast<std::byte*>(memory_.device_pointer());
  return start + (number(host) - number(memory_.data()));
}

}  // namespace flow::cuda

#include "engine/known_memory.h"

#include <cstdint>
#include <map>
#include <mutex>

namespace flow {

namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::uintptr_t, std::weak_ptr<const Memory>> entries;  // by first address
};

Registry& registry() {
  static Registry& all = *new Registry;  // never destroyed: threads may outlive the static objects
  return all;
}

std::uintptr_t first_address(const Memory& memory) { return reinterpret_cast<std::uintptr_t>(memory.data()); }

std::weak_ptr<const Memory>& entry_of(const Memory& memory) {
  // Entries of freed memory are removed here. There are few entries, so the search is cheap.
  std::erase_if(registry().entries, [](const auto& entry) { return entry.second.expired(); });
  return registry().entries[first_address(memory)];
}

}  // namespace

void make_known(const MemoryPtr& memory) {
  const std::lock_guard lock(registry().mutex);
  entry_of(*memory) = memory;
}

MemoryPtr find_or_make_known(const MemoryPtr& memory) {
  const std::lock_guard lock(registry().mutex);
  std::weak_ptr<const Memory>& entry = entry_of(*memory);
  MemoryPtr known = entry.lock();
  if (known && known->size() == memory->size()) return known;
  entry = memory;
  return memory;
}

MemoryPtr holding(std::span<const std::byte> bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(bytes.data());
  MemoryPtr memory;  // declared before the lock: if it is the last owner, it frees after the unlock
  const std::lock_guard lock(registry().mutex);
  const auto next = registry().entries.upper_bound(first);
  if (next == registry().entries.begin()) return nullptr;
  const auto& [start, entry] = *std::prev(next);
  memory = entry.lock();
  if (!memory) return nullptr;
  const std::size_t offset = first - start, size = memory->size();
  return offset <= size && bytes.size() <= size - offset ? memory : nullptr;
}

}  // namespace flow

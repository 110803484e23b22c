#include "async_copy.h"

#include <cstring>
#include <numeric>

#include "count.h"
#include "race.h"

namespace emu {
namespace {

void copy(const AsyncCopy& c) {
  std::memcpy(c.to, c.from, c.source_bytes);
  std::memset(static_cast<char*>(c.to) + c.source_bytes, 0, c.bytes - c.source_bytes);
}

}  // namespace

void cp_async(void* to, const void* from, unsigned bytes, unsigned source_bytes, const char* file, int line) {
  Block& block = *current;
  block.fiber->site = {"cp.async", file, line};
  const auto misaligned = [bytes](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % bytes != 0; };
  if (misaligned(to) || misaligned(from)) {
    block.fail(format("cp.async at %s:%d: %u bytes from %p to %p are misaligned", file, line, bytes, from, to));
  }
  const auto offset = static_cast<std::size_t>(static_cast<unsigned char*>(to) - block.shared);
  if (offset >= block.shared_bytes || block.shared_bytes - offset < bytes) {
    block.fail(format("cp.async at %s:%d: its destination is not within the %zu bytes of shared memory", file, line,
                      block.shared_bytes));
  }
  if (!is_global(from)) {  // even if nothing is read
    block.fail(format("cp.async at %s:%d: its source %p is not in global memory", file, line, from));
  }
  const AsyncCopy c{to, from, bytes, source_bytes};
  note_access(from, source_bytes, Access::read);
  note_access(to, bytes, Access::async_write);
  count_access(Traffic::async_load, from, source_bytes);
  count_access(Traffic::async_store, to, bytes);
  if (block.schedule().early_copies()) copy(c);
  block.fiber->copies.push_back(c);
}

void cp_commit() {
  Fiber& fiber = *current->fiber;
  const int committed = std::accumulate(fiber.copy_groups.begin(), fiber.copy_groups.end(), 0);
  fiber.copy_groups.push_back(static_cast<int>(fiber.copies.size()) - committed);
}

void cp_wait(int left, const char* file, int line) {
  Fiber& fiber = *current->fiber;
  fiber.site = {"cp.async.wait_group", file, line};
  const auto groups = static_cast<int>(fiber.copy_groups.size()) - left;
  if (groups <= 0) return;
  const int done = std::accumulate(fiber.copy_groups.begin(), fiber.copy_groups.begin() + groups, 0);
  for (int i = 0; i < done; i++) {
    const AsyncCopy& c = fiber.copies[static_cast<std::size_t>(i)];
    note_access(c.from, c.source_bytes, Access::read);
    note_access(c.to, c.bytes, Access::async_end);
    copy(c);
  }
  fiber.copies.erase(fiber.copies.begin(), fiber.copies.begin() + done);
  fiber.copy_groups.erase(fiber.copy_groups.begin(), fiber.copy_groups.begin() + groups);
}

}  // namespace emu

#include "l2.h"

#ifdef FLOW_EMULATOR_COUNT

#include <algorithm>
#include <bit>
#include <utility>

namespace emu {

void L2::add_memory(std::uintptr_t start, std::size_t bytes) {
  const std::uintptr_t first = start / sector_bytes, last = (start + bytes) / sector_bytes;
  memory_.insert_or_assign(start, Memory{first, bytes, std::vector<Sector>(last - first + 1)});
}

bool L2::contains(std::uintptr_t p) const {
  const auto next = memory_.upper_bound(p);
  return next != memory_.begin() && p - std::prev(next)->first < std::prev(next)->second.bytes;
}

L2::Sector* L2::find(std::uintptr_t sector) {
  const auto next = memory_.upper_bound(sector * sector_bytes + sector_bytes - 1);
  if (next == memory_.begin()) return nullptr;
  Memory& memory = std::prev(next)->second;
  const std::size_t index = sector - memory.first;
  return index < memory.sectors.size() ? &memory.sectors[index] : nullptr;
}

void L2::access(const Request& request, std::uint32_t block, Counts& counts) {
  struct Part {
    std::uintptr_t sector;
    std::uint32_t bytes;  // a bit each
  };
  std::vector<Part> parts;
  for (std::uint32_t rest = request.lanes; rest != 0; rest &= rest - 1) {
    const std::uintptr_t begin = request.address[std::countr_zero(rest)], end = begin + request.bytes;
    for (std::uintptr_t sector = begin / sector_bytes; sector * sector_bytes < end; sector++) {
      const std::uintptr_t start = sector * sector_bytes;
      const auto from = static_cast<int>(std::max(begin, start) - start);
      const auto to = static_cast<int>(std::min(end, start + sector_bytes) - start);
      const std::uint32_t bytes = (to - from == 32 ? ~0U : (1U << (to - from)) - 1) << from;
      if (!parts.empty() && parts.back().sector == sector) {
        parts.back().bytes |= bytes;
      } else {
        parts.push_back({sector, bytes});
      }
    }
  }
  std::ranges::sort(parts, {}, &Part::sector);
  std::uint64_t bytes = 0, sectors = 0, lines = 0;
  for (std::size_t i = 0; i < parts.size();) {
    const std::uintptr_t sector = parts[i].sector;
    constexpr std::size_t per_line = line_bytes / sector_bytes;
    lines += i == 0 || parts[i - 1].sector / per_line != sector / per_line;
    sectors++;
    std::uint32_t mask = 0;
    for (; i < parts.size() && parts[i].sector == sector; i++) mask |= parts[i].bytes;
    bytes += static_cast<std::uint64_t>(std::popcount(mask));
    if (Sector* const found = find(sector)) touch(*found, mask, request.traffic, block, counts);
  }
  switch (request.traffic) {
    case Traffic::async_load:
      counts.async_requests++;
      counts.async_bytes += bytes;
      counts.async_sectors += sectors;
      counts.async_lines += lines;
      break;
    case Traffic::load:
      counts.load_requests++;
      counts.load_bytes += bytes;
      counts.load_sectors += sectors;
      counts.load_lines += lines;
      break;
    case Traffic::atomic:
      counts.atomic_requests++;
      counts.atomic_sectors += sectors;
      break;
    default:
      counts.store_requests++;
      counts.store_bytes += bytes;
      counts.store_sectors += sectors;
      counts.store_lines += lines;
  }
}

void L2::touch(Sector& sector, std::uint32_t bytes, Traffic traffic, std::uint32_t block, Counts& counts) {
  const auto number = [](std::uint32_t mask) { return static_cast<std::uint64_t>(std::popcount(mask)); };
  if (traffic == Traffic::load) {
    if (std::exchange(sector.block, block) == block) {  // L1 has it
      counts.l2_unused_bytes -= number(bytes & ~sector.used);
      sector.used |= bytes;
      return;
    }
    sector.used = bytes;
  }
  counts.l2_sectors++;
  counts.l2_unused_bytes += sector_bytes - number(bytes);
  const bool writes = traffic == Traffic::store || traffic == Traffic::atomic;
  if (sector.arrival == 0 || arrivals_ - sector.arrival >= capacity_) {
    if (traffic != Traffic::store) {
      counts.l2_new_bytes += sector_bytes;
      if (sector.arrival <= before_launch_) counts.l2_first_bytes += sector_bytes;
    }
    sector.arrival = ++arrivals_;
    sector.dirty = false;
  }
  if (writes && !std::exchange(sector.dirty, true)) counts.l2_dirty_bytes += sector_bytes;
}

}  // namespace emu

#endif

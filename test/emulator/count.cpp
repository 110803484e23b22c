#include "count.h"

#ifdef FLOW_EMULATOR_COUNT

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "banks.h"
#include "block.h"
#include "global_memory.h"
#include "instrumented.h"
#include "l2.h"

namespace emu {
namespace {

/// All of it belongs to the launch that runs: there is one at a time, and it runs its blocks on one thread.
struct Counter {
  Counts counts;
  Requests warps[max_block_threads / warp_lanes];
  L2 l2;
  struct Ran {
    int times = 0;
    Counts last;
  };
  std::unordered_map<std::string, Ran> ran;  // by what is the same in equal launches
  Ran* equal = nullptr;                      // to the launch that runs
};

Counter& counter() {
  static auto* const instance = new Counter;  // global memory may be freed by the destructors of static objects
  return *instance;
}

long long variable(const char* name, long long otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == 0 ? otherwise : std::strtoll(text, nullptr, 10);
}

void note(Traffic traffic, const void* p, std::size_t bytes, const void* place, int line) {
  Block* const b = current;
  if (b == nullptr || b->fiber == nullptr || bytes == 0 || b->stacks().contains(p)) return;
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(b->shared);
  const bool shared = offset < b->shared_bytes;
  if (!shared && traffic != Traffic::special && !counter().l2.contains(address)) return;
  Request access;
  access.place = place;
  access.line = line;
  access.traffic = traffic;
  access.shared = shared;
  access.bytes = static_cast<std::uint32_t>(bytes);
  const unsigned thread = b->fiber->linear;
  counter().warps[thread / warp_lanes].add(thread % warp_lanes, access, shared ? offset : address);
}

// ---- lines of EMULATOR_COUNTS ------------------------------------------------------------------------------------

struct Field {
  const char* name;
  std::uint64_t Counts::*count;
};

constexpr Field fields[] = {
    {"mma", &Counts::mma},
    {"mma_k8", &Counts::mma_k8},
    {"ldmatrix", &Counts::ldmatrix},
    {"cp_async", &Counts::cp_async},
    {"shuffles", &Counts::shuffles},
    {"votes", &Counts::votes},
    {"specials", &Counts::specials},
    {"barriers", &Counts::barriers},
    {"shared_requests", &Counts::shared_requests},
    {"shared_wavefronts", &Counts::shared_wavefronts},
    {"shared_read", &Counts::shared_read},
    {"shared_least", &Counts::shared_least},
    {"load_requests", &Counts::load_requests},
    {"load_bytes", &Counts::load_bytes},
    {"load_sectors", &Counts::load_sectors},
    {"load_lines", &Counts::load_lines},
    {"async_requests", &Counts::async_requests},
    {"async_bytes", &Counts::async_bytes},
    {"async_sectors", &Counts::async_sectors},
    {"async_lines", &Counts::async_lines},
    {"store_requests", &Counts::store_requests},
    {"store_bytes", &Counts::store_bytes},
    {"store_sectors", &Counts::store_sectors},
    {"store_lines", &Counts::store_lines},
    {"atomic_requests", &Counts::atomic_requests},
    {"atomic_sectors", &Counts::atomic_sectors},
    {"l2_sectors", &Counts::l2_sectors},
    {"l2_unused_bytes", &Counts::l2_unused_bytes},
    {"l2_new_bytes", &Counts::l2_new_bytes},
    {"l2_first_bytes", &Counts::l2_first_bytes},
    {"l2_dirty_bytes", &Counts::l2_dirty_bytes},
};
static_assert(sizeof(Counts) == std::size(fields) * sizeof(std::uint64_t));

void append(const std::string& line) {
  const char* const path = std::getenv("EMULATOR_COUNTS");
  if (path == nullptr || *path == 0) return;
  std::FILE* const file = std::fopen(path, "a");
  if (file == nullptr) return;
  std::fprintf(file, "%s\n", line.c_str());
  std::fclose(file);
}

std::string json(const Launch& launch, const Counts& counts) {
  const dim3 grid = launch.grid, block = launch.block;
  std::string text =
      format(R"({"kernel":"%s","grid":[%u,%u,%u],"block":[%u,%u,%u],"shared_bytes":%zu)", launch.kernel->name.c_str(),
             grid.x, grid.y, grid.z, block.x, block.y, block.z, launch.shared_bytes);
  if (launch.programmatic) text += R"(,"programmatic":1)";
  const char* const path = std::getenv("EMULATOR_COUNT_PATH");
  if (path != nullptr && *path != 0) text += format(R"(,"path":"%s")", path);
  for (const Field& field : fields) text += format(R"(,"%s":%llu)", field.name, 0ULL + counts.*field.count);
  return text + "}";
}

/// The same for two launches that are equal in all but addresses. Of an address it has the place in its line.
std::string signature(const Launch& launch) {
  std::string text = json(launch, {});
  std::string parameters(static_cast<const char*>(launch.parameters), launch.kernel->parameter_bytes);
  for (std::size_t at = 0; at + sizeof(std::uintptr_t) <= parameters.size(); at += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, &parameters[at], sizeof word);
    if (!counter().l2.contains(word)) continue;
    word %= 128;
    std::memcpy(&parameters[at], &word, sizeof word);
  }
  return text + parameters;
}

}  // namespace

// ---- what kernels do ---------------------------------------------------------------------------------------------

void count_instruction(Instruction instruction) {
  Counts& counts = counter().counts;
  switch (instruction) {
    case Instruction::mma: counts.mma++; break;
    case Instruction::mma_k8: counts.mma_k8++; break;
    case Instruction::shuffle: counts.shuffles++; break;
    case Instruction::vote: counts.votes++; break;
    case Instruction::barrier: counts.barriers++; break;
  }
}

void count_access(Traffic traffic, const void* p, std::size_t bytes) {
  const Site& site = current->fiber->site;
  note(traffic, p, bytes, site.file, site.line);
}

void count_matrices(const void* const* rows, int matrices) {
  Request request;
  request.traffic = Traffic::load;
  request.shared = true;
  request.bytes = 16;
  for (int lane = 0; lane < 8 * matrices; lane++) {
    request.lanes |= 1U << lane;
    request.address[lane] =
        static_cast<std::uintptr_t>(static_cast<const unsigned char*>(rows[lane]) - current->shared);
  }
  counter().counts.ldmatrix++;
  count_wavefronts(request, counter().counts);
}

void count_special() { note(Traffic::special, nullptr, 1, __builtin_return_address(0), 0); }

void note_instrumented(const void* p, std::size_t bytes, Access access, const void* code) {
  note(access == Access::read ? Traffic::load : Traffic::store, p, bytes, code, 0);
}

void complete_requests(unsigned warp) {
  Counter& c = counter();
  Requests& requests = c.warps[warp];
  for (const Request& request : requests.all()) {
    if (request.traffic == Traffic::special) {
      c.counts.specials++;
    } else if (request.shared) {
      c.counts.cp_async += request.traffic == Traffic::async_store;
      count_wavefronts(request, c.counts);
    } else {
      c.l2.access(request, current->block_epoch(), c.counts);
    }
  }
  requests.clear();
}

// ---- launches ----------------------------------------------------------------------------------------------------

void add_global_memory(const void* p, std::size_t bytes) {
  counter().l2.add_memory(reinterpret_cast<std::uintptr_t>(p), bytes);
}

void remove_global_memory(const void* p) { counter().l2.remove_memory(reinterpret_cast<std::uintptr_t>(p)); }

bool begin_counts(const Launch& launch) {
  Counter& c = counter();
  c.counts = {};
  c.equal = nullptr;
  for (Requests& warp : c.warps) warp.clear();  // of a launch that failed
  c.l2.begin_launch(static_cast<std::size_t>(variable("EMULATOR_L2", 50LL << 20)));
  const char* const most = std::getenv("EMULATOR_COUNT_EQUAL");
  if (most == nullptr || *most == 0) return true;
  c.equal = &c.ran[signature(launch)];
  if (c.equal->times < std::atoi(most)) {
    c.equal->times++;
    return true;
  }
  c.counts = c.equal->last;
  return false;
}

void end_counts(const Launch& launch) {
  Counter& c = counter();
  append(json(launch, c.counts));
  if (c.equal == nullptr) return;
  c.equal->last = c.counts;
}

const Counts& last_counts() { return counter().counts; }

void note_copy(const char* what, std::size_t bytes) { append(format(R"({"copy":"%s","bytes":%zu})", what, bytes)); }

}  // namespace emu

#endif

#include "block.h"

#include <algorithm>
#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "count.h"
#include "race.h"

namespace emu {

thread_local constinit Block* current = nullptr;

void enter_fiber();

namespace {

// Shared memory has the exact size, so that AddressSanitizer sees any overrun. Without the sanitizer some guard bytes
// follow, none of which may change.
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t shared_guard_bytes = 0;
#else
constexpr std::size_t shared_guard_bytes = 256;
#endif

}  // namespace

std::string format(const char* text, ...) {
  char buffer[1024];
  va_list arguments;
  va_start(arguments, text);
  std::vsnprintf(buffer, sizeof buffer, text, arguments);
  va_end(arguments);
  return buffer;
}

Schedule Schedule::from_environment() {
  const char* text = std::getenv("EMULATOR_SCHEDULE");
  if (text == nullptr || *text == 0 || std::strcmp(text, "forward") == 0) return {};
  if (std::strcmp(text, "reverse") == 0) return {reverse, 0};
  return {random, std::strtoull(text, nullptr, 10)};
}

/// The entry of a fiber.
void run_fiber() {
  enter_fiber();
  current->kernel_->body(current->parameters_);
  current->finish_fiber();
}

Block::Block() : stacks_(max_block_threads), fibers_(new Fiber[max_block_threads]) {}

Block::~Block() { std::free(shared); }

void Block::prepare(const Launch& launch) {
  kernel_ = launch.kernel;
  parameters_ = launch.parameters;
  schedule_ = launch.schedule;
  ampere = launch.ampere;
  programmatic_ = launch.programmatic;
  grid_dim = launch.grid;
  block_dim = launch.block;
  threads_ = block_dim.x * block_dim.y * block_dim.z;
  warp_count_ = (threads_ + warp_lanes - 1) / warp_lanes;
  launch_epoch_ = epoch_ + 1;
  if (shared == nullptr || shared_bytes != launch.shared_bytes) {
    std::free(shared);
    void* memory = nullptr;
    const std::size_t bytes = launch.shared_bytes + shared_guard_bytes;
    if (posix_memalign(&memory, 1024, std::max<std::size_t>(bytes, 1)) != 0) std::abort();
    shared = static_cast<unsigned char*>(memory);
    shared_bytes = launch.shared_bytes;
  }
}

bool Block::run(std::uint64_t number) {
  index = {static_cast<unsigned>(number % grid_dim.x), static_cast<unsigned>(number / grid_dim.x % grid_dim.y),
           static_cast<unsigned>(number / (std::uint64_t{grid_dim.x} * grid_dim.y))};
  alive_ = threads_;
  at_barrier_ = 0;
  block_epoch_ = ++epoch_;
  error_.clear();
  random_ = (schedule_.seed + 1) * 0x9e3779b97f4a7c15 ^ (number + 1) * 0xd1b54a32d192ed03;
  std::memset(shared, 0xff, shared_bytes + shared_guard_bytes);  // 0xff is a NaN in every type, and an absurd index
  start_fibers();

  Block* const outer = std::exchange(current, this);
  fiber = next_ready(schedule_.order == Schedule::reverse ? warp_count_ - 1 : 0);
  main_.switch_to(fiber->context);
  fiber = nullptr;
  current = outer;
  if (error_.empty()) check_shared_guard();
  if (!error_.empty()) stacks_.clean();
  return error_.empty();
}

void Block::check_shared_guard() {
  const unsigned char* const guard = shared + shared_bytes;
  const unsigned char* const end = guard + shared_guard_bytes;
  const auto* const changed = std::find_if(guard, end, [](unsigned char c) { return c != 0xff; });
  if (changed == end) return;
  error_ = format("something wrote %td bytes behind the %zu bytes of shared memory [%s, block (%u, %u, %u)]",
                  changed - guard, shared_bytes, kernel_->name.c_str(), index.x, index.y, index.z);
}

void Block::start_fibers() {
  for (unsigned i = 0; i < warp_count_; i++) {
    const unsigned lanes = threads_ - i * warp_lanes;
    Warp& warp = warps_[i];
    warp.ready = warp.alive = lanes >= warp_lanes ? ~0U : (1U << lanes) - 1;
    warp.waiting = warp.at_barrier = 0;
    warp.epoch++;
  }
  uint3 thread{0, 0, 0};
  for (unsigned i = 0; i < threads_; i++) {
    Fiber& f = fibers_[i];
    f.linear = i;
    f.index = thread;
    f.site = {};
    f.follows = !programmatic_;
    f.copies.clear();
    f.copy_groups.clear();
    f.context.start(stacks_.bottom(static_cast<int>(i)), stacks_.top(static_cast<int>(i)), run_fiber);
    if (++thread.x == block_dim.x) {
      thread.x = 0;
      if (++thread.y == block_dim.y) thread.y = 0, thread.z++;
    }
  }
}

void Block::finish_fiber() {
  if (!fiber->follows) fail("a thread returned without a wait for the launches before, though it may precede them");
  Warp& w = warp();
  const std::uint32_t bit = 1U << fiber->linear % warp_lanes;
  w.alive &= ~bit;
  alive_--;
  if (w.waiting != 0) {  // perhaps only for this thread
    const auto& first = w.lanes[std::countr_zero(w.waiting)];
    const std::uint32_t present = first.mask & w.alive;
    if ((first.mask & bit) != 0 && (w.waiting & first.mask) == present) {
      void* arguments[warp_lanes];
      for (unsigned i = 0; i < warp_lanes; i++) arguments[i] = w.lanes[i].argument;
      first.operation(arguments, present);
      if (present == w.alive) complete_requests(fiber->linear / warp_lanes);
      w.waiting &= ~present;
      w.ready |= present;
    }
  }
  if (alive_ == 0) {
    for (unsigned i = 0; i < warp_count_; i++) complete_requests(i);
    fiber->context.switch_to(main_);
  }
  if (at_barrier_ == alive_) release_barrier();
  yield();
  __builtin_unreachable();
}

int Block::barrier(bool predicate, Reduction reduction, const char* what, const char* file, int line) {
  Fiber* const me = fiber;
  me->site = {what, file, line};
  if (at_barrier_ == 0) {
    barrier_site_ = me->site;
    predicates_ = 0;
  } else if (barrier_site_.line != line || std::strcmp(barrier_site_.file, file) != 0) {
    fail(format("divergent barrier: %s at %s:%d while others wait at %s:%d", what, file, line, barrier_site_.file,
                barrier_site_.line));
  }
  predicates_ += predicate;
  if (++at_barrier_ == alive_) {
    release_barrier();
  } else {
    warp().at_barrier |= 1U << me->linear % warp_lanes;
    yield();
  }
  const int sum = me->barrier_result;
  return reduction == count ? sum : reduction == all ? sum == static_cast<int>(threads_) : sum != 0;
}

void Block::release_barrier() {
  if (alive_ != threads_) {
    fail(format("%s at %s:%d was reached by %u of %u threads, the others have returned", barrier_site_.what,
                barrier_site_.file, barrier_site_.line, alive_, threads_));
  }
  for (unsigned i = 0; i < threads_; i++) fibers_[i].barrier_result = predicates_;
  at_barrier_ = 0;
  count_instruction(Instruction::barrier);
  epoch_++;
  for (unsigned i = 0; i < warp_count_; i++) {
    complete_requests(i);
    warps_[i].ready |= warps_[i].at_barrier;
    warps_[i].at_barrier = 0;
  }
}

void Block::collective(WarpOperation operation, std::uint32_t mask, void* argument, const char* what, const char* file,
                       int line) {
  Fiber* const me = fiber;
  const unsigned lane = me->linear % warp_lanes;
  const std::uint32_t bit = 1U << lane;
  me->site = {what, file, line};
  Warp& w = warp();
  if ((mask & bit) == 0) fail(format("%s at %s:%d: lane %u is not in its own mask %08x", what, file, line, lane, mask));
  w.lanes[lane].mask = mask;
  w.lanes[lane].operation = operation;
  w.lanes[lane].argument = argument;
  if (const std::uint32_t others = w.waiting & mask; others != 0) {
    // The waiting lanes already agree among themselves, so one of them speaks for all.
    const unsigned other = static_cast<unsigned>(std::countr_zero(others));
    const Site& site = fibers_[me->linear - lane + other].site;
    if (w.lanes[other].mask != mask || w.lanes[other].operation != operation || site.line != line) {
      fail(format("divergent warp: lane %u is in %s at %s:%d with mask %08x, lane %u in %s at %s:%d with mask %08x",
                  lane, what, file, line, mask, other, site.what, site.file, site.line, w.lanes[other].mask));
    }
  }
  w.waiting |= bit;
  const std::uint32_t present = mask & w.alive;
  if ((w.waiting & mask) == present) {
    void* arguments[warp_lanes];
    for (unsigned i = 0; i < warp_lanes; i++) arguments[i] = w.lanes[i].argument;
    w.waiting &= ~present;
    operation(arguments, present);
    if (present == w.alive) complete_requests(me->linear / warp_lanes);
    w.ready |= present & ~bit;
  } else {
    yield();
  }
}

void Block::yield() {
  Fiber* const me = fiber;
  unsigned from = me->linear / warp_lanes;
  if (schedule_.order == Schedule::random) from = random(warp_count_);
  Fiber* const next = next_ready(from);
  if (next == nullptr) fail(deadlock_text());
  fiber = next;
  me->context.switch_to(next->context);
}

Fiber* Block::next_ready(unsigned from) {
  unsigned i = from;
  for (unsigned k = 0; k < warp_count_; k++) {
    if (const std::uint32_t ready = warps_[i].ready; ready != 0) {
      const unsigned lane = pick(ready);
      warps_[i].ready &= ~(1U << lane);
      return &fibers_[i * warp_lanes + lane];
    }
    if (schedule_.order == Schedule::reverse) {
      i = i == 0 ? warp_count_ - 1 : i - 1;
    } else if (++i == warp_count_) {
      i = 0;
    }
  }
  return nullptr;
}

unsigned Block::random(unsigned below) {
  random_ = random_ * 6364136223846793005 + 1442695040888963407;
  return static_cast<unsigned>((random_ >> 33) * below >> 31);
}

unsigned Block::pick(std::uint32_t lanes) {
  switch (schedule_.order) {
    case Schedule::forward: return static_cast<unsigned>(std::countr_zero(lanes));
    case Schedule::reverse: return 31 - static_cast<unsigned>(std::countl_zero(lanes));
    case Schedule::random: break;
  }
  for (unsigned skip = random(static_cast<unsigned>(std::popcount(lanes))); skip > 0; skip--) lanes &= lanes - 1;
  return static_cast<unsigned>(std::countr_zero(lanes));
}

void Block::fail(std::string&& message) {
  const uint3 t = fiber->index;
  message += format(" [%s, block (%u, %u, %u), thread (%u, %u, %u)]", kernel_->name.c_str(), index.x, index.y, index.z,
                    t.x, t.y, t.z);
  std::string().swap(error_);
  error_.swap(message);  // `message` then owns no memory that could leak
  fiber->context.switch_to(main_);
  __builtin_unreachable();
}

/// One line per place where threads wait, or after which they returned.
std::string Block::deadlock_text() const {
  std::string text = "deadlock:";
  std::vector<std::string> seen;
  for (unsigned i = 0; i < threads_; i++) {
    const bool alive = (warps_[i / warp_lanes].alive >> i % warp_lanes & 1) != 0;
    const Site& site = fibers_[i].site;
    std::string place = site.what == nullptr ? "has returned"
                                             : format("%s %s at %s:%d", alive ? "waits in" : "has returned after",
                                                      site.what, site.file, site.line);
    if (std::find(seen.begin(), seen.end(), place) != seen.end()) continue;
    text += format(" thread %u %s;", i, place.c_str());
    seen.push_back(std::move(place));
  }
  return text;
}

}  // namespace emu

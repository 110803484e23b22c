#include "warp.h"

namespace emu {
namespace {

struct Vote {
  bool predicate;
  std::uint32_t result;
};

void count_votes(void* const* arguments, std::uint32_t mask) {
  count_instruction(Instruction::vote);
  std::uint32_t votes = 0;
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    if (static_cast<const Vote*>(arguments[lane])->predicate) votes |= 1U << lane;
  }
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    static_cast<Vote*>(arguments[std::countr_zero(rest)])->result = votes;
  }
}

}  // namespace

std::uint32_t ballot(std::uint32_t mask, bool predicate, const char* what, const char* file, int line) {
  Vote vote{predicate, 0};
  current->collective(count_votes, mask, &vote, what, file, line);
  return vote.result;
}

void sync_warp(std::uint32_t mask, const char* file, int line) {
  current->collective([](void* const*, std::uint32_t) { current->warp().epoch++; }, mask, nullptr, "__syncwarp", file,
                      line);
}

}  // namespace emu

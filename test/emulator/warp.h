#pragma once

#include <bit>
#include <cstring>

#include "block.h"
#include "count.h"
#include "race.h"

// Barriers, and the exchange of values between the lanes of a warp.

inline void __syncthreads(EMU_HERE) { emu::current->barrier(false, emu::Block::count, "__syncthreads", file, line); }
inline int __syncthreads_count(int p, EMU_HERE) {
  return emu::current->barrier(p != 0, emu::Block::count, "__syncthreads_count", file, line);
}
inline int __syncthreads_and(int p, EMU_HERE) {
  return emu::current->barrier(p != 0, emu::Block::all, "__syncthreads_and", file, line);
}
inline int __syncthreads_or(int p, EMU_HERE) {
  return emu::current->barrier(p != 0, emu::Block::any, "__syncthreads_or", file, line);
}

namespace emu {

void sync_warp(std::uint32_t mask, const char* file, int line);
std::uint32_t ballot(std::uint32_t mask, bool predicate, const char* what, const char* file, int line);
EMU_UNSEEN inline unsigned lane() { return current->fiber->linear % warp_lanes; }
EMU_UNSEEN inline std::uint32_t active_lanes() { return current->warp().alive; }

template <class T>
struct Shuffle {
  T value, result;
  unsigned source;
};

template <class T>
EMU_UNSEEN void shuffle_lanes(void* const* arguments, std::uint32_t mask) {
  count_instruction(Instruction::shuffle);
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    auto* to = static_cast<Shuffle<T>*>(arguments[std::countr_zero(rest)]);
    if ((mask >> to->source & 1) != 0) {
      to->result = static_cast<const Shuffle<T>*>(arguments[to->source])->value;
    } else {
      std::memset(&to->result, 0xff, sizeof(T));  // the lane does not take part: its value is undefined
    }
  }
}

template <class T>
EMU_UNSEEN T shuffle(std::uint32_t mask, T value, unsigned source, const char* what, const char* file, int line) {
  Shuffle<T> all{value, value, source};
  current->collective(shuffle_lanes<T>, mask, &all, what, file, line);
  return all.result;
}

}  // namespace emu

inline void __syncwarp(unsigned mask = ~0U, EMU_HERE) { emu::sync_warp(mask, file, line); }
inline unsigned __activemask() { return emu::active_lanes(); }

inline unsigned __ballot_sync(unsigned mask, int p, EMU_HERE) {
  return emu::ballot(mask, p != 0, "__ballot_sync", file, line);
}
inline int __any_sync(unsigned mask, int p, EMU_HERE) {
  return emu::ballot(mask, p != 0, "__any_sync", file, line) != 0;
}
inline int __all_sync(unsigned mask, int p, EMU_HERE) {
  return emu::ballot(mask, p == 0, "__all_sync", file, line) == 0;
}

// Shuffles within segments of `width` lanes, a power of two. A lane that would read outside its segment keeps its
// value.

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMU_HERE) {
  const unsigned lane = emu::lane(), w = static_cast<unsigned>(width);
  return emu::shuffle(mask, value, (lane & ~(w - 1)) | (static_cast<unsigned>(source) & (w - 1)), "__shfl_sync", file,
                      line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = 32, EMU_HERE) {
  const unsigned lane = emu::lane(), w = static_cast<unsigned>(width), source = lane ^ static_cast<unsigned>(flip);
  return emu::shuffle(mask, value, source / w > lane / w ? lane : source % 32, "__shfl_xor_sync", file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_HERE) {
  const unsigned lane = emu::lane(), w = static_cast<unsigned>(width);
  return emu::shuffle(mask, value, lane % w + delta < w ? lane + delta : lane, "__shfl_down_sync", file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMU_HERE) {
  const unsigned lane = emu::lane(), w = static_cast<unsigned>(width);
  return emu::shuffle(mask, value, lane % w >= delta ? lane - delta : lane, "__shfl_up_sync", file, line);
}

#include "banks.h"

#ifdef FLOW_EMULATOR_COUNT

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace emu {
namespace {

constexpr std::uintptr_t word_bytes = 4, banks = 32;

/// The most words of one bank. An atomic's lanes take turns even at one word.
std::uint64_t wavefronts_of(std::vector<std::uintptr_t>& words, bool atomic) {
  if (!atomic) {
    std::ranges::sort(words);
    words.erase(std::ranges::unique(words).begin(), words.end());
  }
  std::array<std::uint64_t, banks> of_bank{};
  for (const std::uintptr_t word : words) of_bank[word % banks]++;
  return std::ranges::max(of_bank);
}

}  // namespace

void count_wavefronts(const Request& request, Counts& counts) {
  counts.shared_requests++;
  const std::uint64_t before = counts.shared_wavefronts;
  const bool wide = request.bytes == 8 || request.bytes == 16;
  const unsigned lanes = wide ? warp_lanes * word_bytes / request.bytes : warp_lanes;
  // A structure of another size is accessed word by word.
  const std::uintptr_t step = wide ? request.bytes : word_bytes;
  std::vector<std::uintptr_t> words;
  for (std::uintptr_t offset = 0; offset < request.bytes; offset += step) {
    for (unsigned first = 0; first < warp_lanes; first += lanes) {
      words.clear();
      for (unsigned lane = first; lane < first + lanes; lane++) {
        if ((request.lanes >> lane & 1) == 0) continue;
        const std::uintptr_t begin = request.address[lane] + offset;
        const std::uintptr_t end = request.address[lane] + std::min<std::uintptr_t>(request.bytes, offset + step);
        for (std::uintptr_t word = begin / word_bytes; word * word_bytes < end; word++) words.push_back(word);
      }
      if (words.empty()) continue;
      counts.shared_wavefronts += wavefronts_of(words, request.traffic == Traffic::atomic);
      counts.shared_least++;
    }
  }
  const bool reads = request.traffic == Traffic::load || request.traffic == Traffic::atomic;
  if (reads) counts.shared_read += counts.shared_wavefronts - before;
}

}  // namespace emu

#endif

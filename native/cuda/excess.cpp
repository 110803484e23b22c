#include "cuda/excess.h"

#include <algorithm>
#include <bit>

namespace flow::cuda {

namespace {

std::span<unsigned> words_of(const HostBlock& block) {
  const std::span<std::byte> bytes = block.bytes();
  return {reinterpret_cast<unsigned*>(bytes.data()), bytes.size() / sizeof(unsigned)};
}

bool is_raised(unsigned word) { return word != 0; }

}  // namespace

float ExcessWords::magnitude(int i) const { return std::bit_cast<float>(host[i]); }

ExcessWords Excess::add(int count) {
  if (used_ + count > block_words) {
    blocks_.push_back(std::make_unique<HostBlock>(context_, block_words * sizeof(unsigned)));
    used_ = 0;
  }
  const HostBlock& block = *blocks_.back();
  const unsigned* const host = words_of(block).data() + used_;
  used_ += count;
  return {reinterpret_cast<unsigned*>(block.device_address(host)), host};
}

bool Excess::any() const {
  return std::ranges::any_of(blocks_,
                             [](const auto& block) { return std::ranges::any_of(words_of(*block), is_raised); });
}

void Excess::clear() {
  for (const auto& block : blocks_) std::ranges::fill(words_of(*block), 0U);
}

}  // namespace flow::cuda

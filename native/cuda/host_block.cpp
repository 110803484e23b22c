#include "cuda/host_block.h"

#include <cstring>

#include "engine/known_memory.h"

namespace flow::cuda {

HostBlock::HostBlock(const ContextPtr& context, std::size_t bytes) : memory_(context, bytes) {
  std::memset(memory_.data(), 0, bytes);
}

HostBlockPtr HostBlock::allocate(const ContextPtr& context, std::size_t bytes) {
  auto block = std::make_shared<const HostBlock>(context, bytes);
  make_known(block);
  return block;
}

HostBlockPtr HostBlock::holding(std::span<const std::byte> bytes) {
  return std::dynamic_pointer_cast<const HostBlock>(flow::holding(bytes));
}

std::byte* HostBlock::device_address(const void* host) const {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's addresses are integers
  auto* const start = reinterpret_cast<std::byte*>(memory_.device_pointer());
  return start + (static_cast<const std::byte*>(host) - bytes().data());
}

}  // namespace flow::cuda

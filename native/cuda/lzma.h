#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace flow::cuda {

/// The `size` bytes that a raw LZMA stream with lc = 3, lp = 0, pb = 2 and an end marker stands for. Throws
/// Error(device) if it is damaged.
std::vector<unsigned char> unpack_lzma(std::span<const unsigned char> packed, std::size_t size);

}  // namespace flow::cuda

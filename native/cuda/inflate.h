#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace flow::cuda {

/// The `size` bytes that a raw DEFLATE stream (RFC 1951) stands for. Throws Error(device) if it is damaged.
std::vector<unsigned char> inflate(std::span<const unsigned char> packed, std::size_t size);

}  // namespace flow::cuda

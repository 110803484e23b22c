#pragma once

#include <memory>
#include <vector>

#include "cuda/host_block.h"

namespace flow::cuda {

/// Consecutive words that kernels raise if a value is out of range: the `excess` of kernels/layouts.h.
struct ExcessWords {
  unsigned* device = nullptr;
  const unsigned* host = nullptr;

  /// The magnitude in word `i`; 0 if all values were in range. Read it once the kernels are done.
  float magnitude(int i) const;
};

/// All such words of an engine, in page-locked memory that the device writes directly. It does so only when a value is
/// out of range, so a frame in range costs neither a copy nor a reset.
class Excess {
 public:
  explicit Excess(ContextPtr context) : context_(std::move(context)) {}

  /// `count` words, zero. They live as long as this object. Throws Error(out_of_memory).
  ExcessWords add(int count);
  /// Whether a word is not zero. Call this and `clear` while no kernel runs.
  bool any() const;
  void clear();

 private:
  static constexpr int block_words = 1024;

  ContextPtr context_;
  std::vector<std::unique_ptr<HostBlock>> blocks_;
  int used_ = block_words;  // words of the last block
};

}  // namespace flow::cuda

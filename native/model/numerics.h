#pragma once

#include <string>
#include <vector>

namespace flow {

/// What a network does about values beyond the range of its operands. A frame whose values are out of range may change
/// it.
struct Numerics {
  /// Operands of a block that are multiplied by 2^exponent where they are stored, and by 2^-exponent in the next
  /// product: exact.
  struct Scaled {
    int block;
    std::string values;  // "queries" (keys have the inverse), "values", "hidden"
    int exponent;
  };

  std::string precision;
  std::vector<Scaled> scaled;
};

}  // namespace flow

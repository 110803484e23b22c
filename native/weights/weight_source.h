#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace flow {

/// Where weights come from, by canonical name: Meta's for the backbone, the seed's for the head.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual bool has(const std::string& name) const = 0;
  /// Extent of one axis, so that widths nobody configures (squeeze-and-excitation's) come from the weights.
  virtual int extent(const std::string& name, std::size_t axis) const = 0;
  /// The tensor as float32, row by row. Throws Error(checkpoint_tensor) unless it has `count` elements, all finite.
  virtual std::vector<float> read(const std::string& name, std::size_t count) = 0;
};

}  // namespace flow

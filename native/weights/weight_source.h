#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace flow {

/// A source of weights by canonical name: Meta's names for the backbone, the seed's for the head.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual bool has(const std::string& name) const = 0;
  /// Extent of one axis. It gives widths that are in no configuration, such as squeeze-and-excitation's.
  virtual int extent(const std::string& name, std::size_t axis) const = 0;
  /// The tensor as float32, row by row. Throws Error(checkpoint_tensor) unless it has `count` elements, all finite.
  virtual std::vector<float> read(const std::string& name, std::size_t count) = 0;
};

}  // namespace flow

#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ops/error.h"
#include "weights/weight_source.h"

namespace flow {

struct Tensor {
  std::vector<int> shape;
  std::vector<float> values;  // row by row
};
using Tensors = std::map<std::string, Tensor, std::less<>>;

/// All tensors of a safetensors file that holds only float32, as the fixtures do. Throws Error(checkpoint_format) for
/// any other file, and for one whose tensors do not lie inside it.
Tensors read_safetensors(const std::string& path);

/// A tensor that must be there.
const Tensor& find(const Tensors& tensors, const std::string& name);

/// The tensors of a checkpoint with canonical names.
class TensorWeights : public WeightSource {
 public:
  explicit TensorWeights(Tensors tensors) : tensors_(std::move(tensors)) {}

  bool has(const std::string& name) const override { return tensors_.contains(name); }
  int extent(const std::string& name, std::size_t axis) const override { return find(tensors_, name).shape.at(axis); }
  std::vector<float> read(const std::string& name, std::size_t count) override;

 private:
  Tensors tensors_;
};

}  // namespace flow

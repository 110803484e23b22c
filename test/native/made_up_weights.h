#pragma once

#include <random>
#include <string>
#include <vector>

#include "weights/weight_source.h"

namespace flow {

/// Gives any tensor that is asked for, with small values that depend on its name.
class MadeUpWeights : public WeightSource {
 public:
  /// `reduced` is the inner width of every squeeze-and-excitation.
  explicit MadeUpWeights(int reduced) : reduced_(reduced) {}

  bool has(const std::string& name) const override {
    return !name.ends_with("bias_mask") && !name.ends_with("periods");
  }
  int extent(const std::string& /*name*/, std::size_t /*axis*/) const override { return reduced_; }
  std::vector<float> read(const std::string& name, std::size_t count) override {
    std::minstd_rand generator(static_cast<unsigned>(std::hash<std::string>{}(name)));
    std::uniform_real_distribution<float> uniform(-.3F, .3F);
    std::vector<float> values(count);
    for (float& v : values) v = name.ends_with("running_var") ? 1 + uniform(generator) : uniform(generator);
    return values;
  }

 private:
  int reduced_;
};

}  // namespace flow

#pragma once

// Parameters of squeeze_excite.cu: scale = sigmoid(fc2 silu(fc1 mean)). The grid is one block of
// squeeze_excite_threads.

namespace flow::kernels {

constexpr int squeeze_excite_threads = 1024;

constexpr int squeeze_excite_shared_bytes(int channels, int reduced) { return (channels + reduced) * 4; }

struct SqueezeExciteParams {
  const float* sums;  // channels
  float inverse_count;
  int channels, reduced;
  const float* fc1;  // reduced x channels
  const float* bias1;
  const float* fc2;  // channels x reduced
  const float* bias2;
  float* scale;  // channels
};

}  // namespace flow::kernels

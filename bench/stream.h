#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/models.h"
#include "ops/error.h"
#include "test/native/network_calls.h"

namespace flow::bench {

struct Size {
  int height = 640, width = 640;
};

/// A video through a model: the one case that all benchmarks time and the counter counts, stage by stage and launch by
/// launch. So nobody lists its launches. The network makes them, with their shapes. Frames are noise, and no frame
/// equals the one before it.
class Stream {
 public:
  /// Throws Error(argument) if the model has no grid for frames of that size.
  Stream(Network& network, const Model& model, Size size)
      : network_(network),
        calls_(network, model.refine),
        size_(size),
        grid_{size.height / model.cell(), size.width / model.cell()},
        flow_(std::size_t{2} * size.height * size.width) {
    if (size.height % model.cell() != 0 || size.width % model.cell() != 0) {
      throw Error(ErrorCode::argument, "height and width are multiples of " + std::to_string(model.cell()));
    }
    std::mt19937 generator(1);
    for (auto& pixels : pixels_) {
      pixels.resize(std::size_t{3} * size.height * size.width);
      for (auto& byte : pixels) byte = static_cast<std::uint8_t>(generator());
    }
  }

  /// The backbone on the next frame.
  void encode() {
    forget_before();
    before_ = std::exchange(now_, none);
    now_ = calls_.encode(next(), grid_);
  }
  /// The head on the features of the last two frames, which `encode` computed.
  void find_flow() { calls_.flow(before_, now_, {}, flow_, size_.height, size_.width); }
  /// Both for the next frame, in one sequence, as a stream does. `encode` comes first.
  void advance() {
    forget_before();
    now_ = calls_.advance(now_, next(), grid_, flow_, size_.height, size_.width);
  }

  /// That of the last two frames, planar.
  const std::vector<float>& flow() const { return flow_; }

 private:
  static constexpr FeatureId none = 0;

  void forget_before() {
    if (before_ != none) network_.release(std::exchange(before_, none));
  }
  Frame next() { return frame_of(pixels_.at(++frames_ % pixels_.size()).data(), size_.width, size_.height); }

  Network& network_;
  NetworkCalls calls_;
  Size size_;
  Grid grid_;
  std::array<std::vector<std::uint8_t>, 4> pixels_;
  std::size_t frames_ = 0;
  std::vector<float> flow_;
  FeatureId before_ = none, now_ = none;
};

}  // namespace flow::bench

#include "model/backbone_trial.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <vector>

namespace flow {

namespace {

constexpr int channels = 3;

/// A picture with motifs of several sizes in front of a gradient.
std::vector<std::uint8_t> picture(int height, int width) {
  std::vector<std::uint8_t> pixels;
  pixels.reserve(static_cast<std::size_t>(height) * width * channels);
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      const bool checker = ((x / 24) + (y / 40)) % 3 == 0;
      const int dx = (x % 96) - 48, dy = (y % 128) - 64;
      const bool disc = dx * dx + dy * dy < 30 * 30;
      pixels.push_back(static_cast<std::uint8_t>(disc ? 220 - y % 64 : 255 * x / width));
      pixels.push_back(static_cast<std::uint8_t>(checker ? 40 : 255 * y / height));
      pixels.push_back(static_cast<std::uint8_t>(disc != checker ? 200 : 90));
    }
  }
  return pixels;
}

std::vector<std::uint8_t> noise(int height, int width) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(height) * width * channels);
  std::uint32_t state = 1;
  for (std::uint8_t& value : pixels) {
    state = 1664525U * state + 1013904223U;  // Numerical Recipes' generator
    value = static_cast<std::uint8_t>(state >> 24);
  }
  return pixels;
}

/// NaN if a value is not finite.
double cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, squares_a = 0, squares_b = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return std::numeric_limits<double>::quiet_NaN();
    product += double{a[i]} * b[i];
    squares_a += double{a[i]} * a[i];
    squares_b += double{b[i]} * b[i];
  }
  if (squares_a == 0 && squares_b == 0) return 1;  // a network whose weights are all zero
  return squares_a == 0 || squares_b == 0 ? 0 : product / std::sqrt(squares_a * squares_b);
}

/// Milliseconds of a sequence: the median of several, once it is recorded.
double measure(Ops& ops, const SequenceKey& key, const Frame& frame, const std::function<void()>& calls) {
  constexpr int unmeasured = 3, measured = 9;
  std::vector<double> times;
  for (int i = 0; i < unmeasured + measured; i++) {
    const auto begin = std::chrono::steady_clock::now();
    ops.sequence(&key, {&frame, 1}, calls);
    ops.finish();
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
    if (i >= unmeasured) times.push_back(time.count());
  }
  std::ranges::nth_element(times, times.begin() + measured / 2);
  return times[measured / 2];
}

std::string decimals(double value, int count) {
  std::array<char, 32> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%.*f", count, value));
  return text.data();
}

}  // namespace

BackboneTrial try_backbone(Ops& ops, const Vit& vit, Vit::Plan& plan, int patch, RealMatrix features,
                           CompiledBackbone& backbone, std::uint64_t number) {
  const int height = plan.grid.height * patch, width = plan.grid.width * patch;
  BackboneTrial trial{};
  const std::array pictures{picture(height, width), noise(height, width)};
  for (std::size_t i = 0; i < pictures.size(); i++) {
    const Frame frame = ops.stage(frame_of(pictures[i].data(), width, height), 0, height, width);
    const Vit::Image image{frame, features};
    const std::function<void()> by_kernels = [&] { vit.run({&image, 1}, plan, nullptr); };
    const std::function<void()> by_library = [&] { vit.run(image, plan, backbone); };
    const auto features_of = [&](const std::function<void()>& calls) {
      ops.sequence(nullptr, {&frame, 1}, calls);
      ops.finish();
      std::vector<float> values(static_cast<std::size_t>(features.rows) * features.cols);
      ops.read(features, values);
      return values;
    };
    const auto expected = features_of(by_kernels);
    trial.cosines.at(i) = cosine(expected, features_of(by_library));
    if (i > 0) continue;
    SequenceKey key{number, 0};
    trial.kernels_milliseconds = measure(ops, key, frame, by_kernels);
    key[1] = 1;
    trial.compiled_milliseconds = measure(ops, key, frame, by_library);
  }
  return trial;
}

void judge(BackboneTrial& trial, const std::string& name, bool only_if_faster) {
  const auto [of_picture, of_noise] = trial.cosines;
  if (std::isnan(of_picture) || std::isnan(of_noise)) {
    trial.reason = name + " computes features that are not finite";
  } else if (std::min(of_picture, of_noise) < trusted_cosine) {
    trial.reason = name + " computes other features than the kernels: their cosine is " + decimals(of_picture, 5) +
                   " for a picture and " + decimals(of_noise, 5) + " for noise, and " + decimals(trusted_cosine, 4) +
                   " is needed";
  } else if (only_if_faster && trial.compiled_milliseconds >= trial.kernels_milliseconds) {
    trial.reason = "the kernels are faster: " + decimals(trial.kernels_milliseconds, 2) + " ms a frame, " + name + " " +
                   decimals(trial.compiled_milliseconds, 2) + " ms";
  }
  trial.used = trial.reason.empty();
}

}  // namespace flow

#pragma once

// Frames that are drawn from formulas, so that their motion is known.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "ops/frame.h"

namespace flow {

/// An RGB picture.
struct Picture {
  int height, width;
  std::vector<std::uint8_t> pixels;

  Picture(int h, int w) : height(h), width(w), pixels(static_cast<std::size_t>(3) * h * w) {}
  Frame frame() const { return frame_of(pixels.data(), width, height); }
};

inline Picture noise(int height, int width, unsigned seed) {
  Picture picture(height, width);
  std::mt19937 generator(seed);
  for (auto& p : picture.pixels) p = static_cast<std::uint8_t>(generator());
  return picture;
}

inline Picture plain(int height, int width, std::uint8_t level) {
  Picture picture(height, width);
  std::ranges::fill(picture.pixels, level);
  return picture;
}

/// Waves of many directions and lengths, each channel with its own.
class Waves {
 public:
  explicit Waves(unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<double> uniform(0, 1);
    for (auto& channel : waves_) {
      for (auto& wave : channel) {
        const double frequency = 6.28 / std::pow(2, 2 + 5 * uniform(generator)), angle = 6.28 * uniform(generator);
        wave = {frequency * std::cos(angle), frequency * std::sin(angle), 6.28 * uniform(generator)};
      }
    }
  }
  double operator()(int channel, double x, double y) const {
    double sum = 0;
    for (const auto& [fx, fy, phase] : waves_.at(static_cast<std::size_t>(channel))) {
      sum += std::sin(fx * x + fy * y + phase);
    }
    return std::clamp(128 + 22 * sum, 0.0, 255.0);
  }

 private:
  std::array<std::array<std::array<double, 3>, 10>, 3> waves_{};
};

/// The waves as they are seen where pixel (x, y) shows the point `point(x, y)`.
template <class Point>
Picture draw(const Waves& waves, int height, int width, const Point& point) {
  Picture picture(height, width);
  for (int y = 0, i = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      const auto [px, py] = point(x, y);
      for (int c = 0; c < 3; c++) picture.pixels[i++] = static_cast<std::uint8_t>(std::lround(waves(c, px, py)));
    }
  }
  return picture;
}

/// A pair of frames that turns, grows and moves by up to some ten pixels, and its true flow (planar).
struct Pair {
  Picture from, to;
  std::vector<float> flow;
};

inline Pair moving_pair(int height, int width) {
  const Waves waves(7);
  // Frame 2 shows at (x, y) the point A (x, y) + b; so the point at (x, y) of frame 1 goes to A^-1 ((x, y) - b).
  const double a = 0.98, b = 0.03, c = -0.03, d = 0.98, shift_x = 9.4, shift_y = -4.7, determinant = a * d - b * c;
  const auto identity = [](double x, double y) { return std::pair(x, y); };
  const auto moved = [&](double x, double y) { return std::pair(a * x + b * y + shift_x, c * x + d * y + shift_y); };
  std::vector<float> flow;
  for (const bool vertical : {false, true}) {
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        const double px = x - shift_x, py = y - shift_y;
        const double to_x = (d * px - b * py) / determinant, to_y = (a * py - c * px) / determinant;
        flow.push_back(static_cast<float>(vertical ? to_y - y : to_x - x));
      }
    }
  }
  return {draw(waves, height, width, identity), draw(waves, height, width, moved), flow};
}

/// A flow of cells of `cell` pixels, each the mean of `flow` there and off by up to `error` px.
inline std::vector<float> coarse_start(const std::vector<float>& flow, int height, int width, int cell, float error) {
  std::mt19937 generator(3);
  std::uniform_real_distribution<float> off(-error, error);
  const int h = height / cell, w = width / cell;
  std::vector<float> start;
  for (int plane = 0; plane < 2; plane++) {
    for (int y = 0; y < h; y++) {
      for (int x = 0; x < w; x++) {
        double sum = 0;
        for (int i = 0; i < cell * cell; i++) {
          const std::ptrdiff_t row = plane * height + y * cell + i / cell;
          sum += flow[static_cast<std::size_t>(row * width + x * cell + i % cell)];
        }
        start.push_back((static_cast<float>(sum / (cell * cell)) + off(generator)) / static_cast<float>(cell));
      }
    }
  }
  return start;
}

}  // namespace flow

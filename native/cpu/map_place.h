#pragma once

#include <algorithm>

namespace flow::cpu {

/// The two pixels of a side around a place that is held inside it, and how far the place is beyond the first.
struct Tap {
  int first, second;
  float part;

  Tap(float at, int count) {
    at = std::clamp(at, 0.F, static_cast<float>(count - 1));
    first = static_cast<int>(at), second = std::min(first + 1, count - 1);
    part = at - static_cast<float>(first);
  }
  float between(float at_first, float at_second) const { return at_first * (1 - part) + at_second * part; }
};

/// A place between the pixels of a map, held inside it.
struct MapPlace {
  Tap down, across;

  MapPlace(float y, float x, int height, int width) : down(y, height), across(x, width) {}

  /// at(y, x) between the pixels, bilinear.
  template <class At>
  float mean(const At& at) const {
    const auto row = [&](int y) { return across.between(at(y, across.first), at(y, across.second)); };
    return down.between(row(down.first), row(down.second));
  }
};

}  // namespace flow::cpu

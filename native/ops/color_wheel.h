#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace flow {

/// Red, green, blue.
using Color = std::array<std::uint8_t, 3>;

/// The 55 colours of Baker et al.'s wheel, from red (motion to the right) towards yellow (downwards). They equal
/// COLOR_WHEEL of lib/viz/color-wheel.ts, which explains them.
constexpr std::array<Color, 55> color_wheel = [] {
  struct Sector {
    Color from, to;
    int colors;
  };
  constexpr Color red{255, 0, 0}, yellow{255, 255, 0}, green{0, 255, 0}, cyan{0, 255, 255}, blue{0, 0, 255},
      magenta{255, 0, 255};
  constexpr std::array<Sector, 6> sectors{{{red, yellow, 15},
                                           {yellow, green, 6},
                                           {green, cyan, 4},
                                           {cyan, blue, 11},
                                           {blue, magenta, 13},
                                           {magenta, red, 6}}};
  std::array<Color, 55> wheel{};
  std::size_t at = 0;
  for (const auto& [from, to, colors] : sectors) {
    for (int i = 0; i < colors; i++, at++) {
      // Integer division rounds towards zero, so every channel rounds towards `from`.
      for (std::size_t c = 0; c < 3; c++)
        wheel[at][c] = static_cast<std::uint8_t>(from[c] + (to[c] - from[c]) * i / colors);
    }
  }
  return wheel;
}();

}  // namespace flow

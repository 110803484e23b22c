#include "ops/resize_taps.h"

#include <algorithm>
#include <cmath>

namespace flow {

void find_resize_taps(int from, std::span<ResizeTap> taps) {
  const double scale = static_cast<double>(from) / static_cast<double>(taps.size());
  for (std::size_t i = 0; i < taps.size(); i++) {
    const auto position = static_cast<float>((static_cast<double>(i) + 0.5) * scale - 0.5);
    int first = static_cast<int>(std::floor(position));
    float part = position - static_cast<float>(first);
    if (first < 0) first = 0, part = 0;
    if (first >= from - 1) first = from - 1, part = 0;
    const auto weight = [](float w) { return static_cast<int>(std::lrint(w * (1 << ResizeTap::weight_bits))); };
    taps[i] = {first, std::min(first + 1, from - 1), {weight(1.F - part), weight(part)}};
  }
}

}  // namespace flow

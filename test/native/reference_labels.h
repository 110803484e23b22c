#pragma once

// The choice between motions in double precision, with plain loops.

#include "ops/label_stages.h"
#include "reference_patches.h"

namespace reference {

/// The labels of a level: planes of `height` rows, one after the other.
struct LabelMaps {
  int height, width, starts, count;
  Map u, v, costs;

  LabelMaps(int h, int w, int s, int n)
      : height(h), width(w), starts(s), count(n), u(n * h, w), v(n * h, w), costs(n * h, w) {}

  double part_inside(int label, int y, int x) const {
    const auto part = [](double to, int size) { return std::clamp((std::min(to, size - 1 - to) + 2) / 3, 0., 1.); };
    return part(x + u.at(label * height + y, x), width) * part(y + v.at(label * height + y, x), height);
  }
  /// Index of the pixel that (y, x) moves to, or -1 outside the frame. Exact for quarters of pixels.
  int target(int label, int y, int x) const {
    const double to_x = std::floor(x + u.at(label * height + y, x) + 0.6);
    const double to_y = std::floor(y + v.at(label * height + y, x) + 0.6);
    const bool inside = to_x >= 0 && to_y >= 0 && to_x < width && to_y < height;
    return inside ? static_cast<int>(to_y) * width + static_cast<int>(to_x) : -1;
  }
};

/// Bilinear in the middle between two rows of samples, as a map of twice the size sees one; edges held.
inline double doubled(const Map& m, int first_row, int height, int y, int x) {
  const double at_y = std::clamp(0.5 * y - 0.25, 0., height - 1.), at_x = std::clamp(0.5 * x - 0.25, 0., m.cols - 1.);
  const int top = static_cast<int>(at_y), left = static_cast<int>(at_x);
  const int bottom = std::min(top + 1, height - 1), right = std::min(left + 1, m.cols - 1);
  const double part_y = at_y - top, part_x = at_x - left;
  const auto row = [&](int r) {
    return m.at(first_row + r, left) * (1 - part_x) + m.at(first_row + r, right) * part_x;
  };
  return 2 * (row(top) * (1 - part_y) + row(bottom) * part_y);
}

/// A picture by a quadratic spline over the nine pixels around (y, x).
inline double splined(const Picture& picture, int channel, double y, double x) {
  const int row = static_cast<int>(std::floor(y + 0.5)), column = static_cast<int>(std::floor(x + 0.5));
  const auto weight = [](double distance) {
    distance = std::abs(distance);
    return distance <= 0.5 ? 0.75 - distance * distance : 0.5 * (1.5 - distance) * (1.5 - distance);
  };
  double sum = 0;
  for (int j = row - 1; j <= row + 1; j++) {
    for (int i = column - 1; i <= column + 1; i++) {
      sum += weight(y - j) * weight(x - i) * picture.at(channel, j, i);
    }
  }
  return sum;
}

/// The costs of one label, height x width.
inline Map census_costs(const Picture& from, const Picture& to, double gain, const LabelMaps& labels, int label,
                        double contrast) {
  constexpr int luma = 3;
  Picture warped{from.height, from.width, {}}, own = warped;
  for (int y = 0; y < from.height; y++) {
    for (int x = 0; x < from.width; x++) {
      const double u = doubled(labels.u, label * labels.height, labels.height, y, x);
      const double v = doubled(labels.v, label * labels.height, labels.height, y, x);
      warped.v.push_back(static_cast<float>(splined(to, luma, y + v, x + u)));
      own.v.push_back(static_cast<float>(gain * splined(from, luma, y, x)));
    }
  }
  const auto clipped = [&](const Picture& picture, int y, int x, int dy, int dx) {
    return std::clamp((picture.at(0, y + dy, x + dx) - picture.at(0, y, x)) / contrast, -1., 1.);
  };
  const auto difference = [&](int y, int x) {
    double sum = 0;
    for (int dy = 0; dy <= 2; dy++) {
      for (int dx = dy == 0 ? 1 : -2; dx <= 2; dx++) {
        sum += std::abs(clipped(warped, y, x, dy, dx) - clipped(own, y, x, dy, dx)) / 12;
      }
    }
    return std::min(1., sum);
  };
  Map out(labels.height, labels.width);
  for (int y = 0; y < labels.height; y++) {
    for (int x = 0; x < labels.width; x++) {
      for (int j = -2; j <= 2; j++) {
        for (int i = -2; i <= 3; i++) {
          out.at(y, x) += (i == -2 || i == 3 ? 0.02 : 0.04) * difference(2 * y + j, 2 * x + i);
        }
      }
    }
  }
  return out;
}

/// count * height x width: the cost of each label with the messages of all four sides.
inline Map label_sums(const Picture& image, const LabelMaps& labels, const flow::LabelOptions& options,
                      double typical) {
  const int height = labels.height, width = labels.width, count = labels.count;
  Map out = labels.costs;
  const auto pass = [&](int y, int x, int dy, int dx) {
    Doubles state(count);
    for (int k = 0; k < count; k++) state[k] = labels.costs.at(k * height + y, x);
    for (y += dy, x += dx; y >= 0 && x >= 0 && y < height && x < width; y += dy, x += dx) {
      double difference = 0;
      for (int c = 0; c < 3; c++) difference += std::abs(image.at(c, y, x) - image.at(c, y - dy, x - dx));
      const double edge = options.least + (1 - options.least) * std::exp(-difference / options.edge);
      const auto motion = [&](int label, int at_y, int at_x) {
        const double u = labels.u.at(label * height + at_y, at_x), v = labels.v.at(label * height + at_y, at_x);
        return std::array{u, v, 1 / std::sqrt(1 + options.relative * (std::abs(u) + std::abs(v)))};
      };
      Doubles message(count, 1e9);
      for (int j = 0; j < count; j++) {
        const auto to = motion(j, y, x);
        for (int k = 0; k < count; k++) {
          const auto from = motion(k, y - dy, x - dx);
          const double off = (std::abs(to[0] - from[0]) + std::abs(to[1] - from[1])) * to[2] * from[2];
          const bool goes_on = j == k && j >= labels.starts;
          const double step =
              goes_on ? 0 : options.smoothness * (1 - typical) * edge * std::min<double>(options.most, off);
          message[j] = std::min(message[j], state[k] + step);
        }
      }
      const double least = *std::ranges::min_element(message);
      for (int j = 0; j < count; j++) {
        state[j] = labels.costs.at(j * height + y, x) + message[j] - least;
        out.at(j * height + y, x) += message[j] - least;
      }
    }
  };
  for (int y = 0; y < height; y++) pass(y, 0, 0, 1), pass(y, width - 1, 0, -1);
  for (int x = 0; x < width; x++) pass(0, x, 1, 0), pass(height - 1, x, -1, 0);
  return out;
}

}  // namespace reference

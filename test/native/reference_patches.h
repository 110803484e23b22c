#pragma once

// The refinement's stages of patches in double precision, with plain loops.

#include "reference.h"

namespace reference {

/// R, G and B of a frame. Beyond the edge there is the edge's colour, however far.
struct Picture {
  int height, width;
  Values v;

  double at(int channel, int y, int x) const {
    y = std::clamp(y, 0, height - 1), x = std::clamp(x, 0, width - 1);
    return v[(static_cast<std::size_t>(channel) * height + y) * width + x];
  }
  double between(int channel, double y, double x) const {
    y = std::clamp(y, 0., height - 1.), x = std::clamp(x, 0., width - 1.);
    const int top = static_cast<int>(y), left = static_cast<int>(x);
    const double above = at(channel, top, left) * (left + 1 - x) + at(channel, top, left + 1) * (x - left);
    const double below = at(channel, top + 1, left) * (left + 1 - x) + at(channel, top + 1, left + 1) * (x - left);
    return above * (top + 1 - y) + below * (y - top);
  }
  /// A channel with the border of an Image.
  void append_bordered(int channel, Values& values) const {
    constexpr int border = flow::image_border;
    for (int y = -border; y < height + border; y++) {
      for (int x = -border; x < width + border; x++) values.push_back(static_cast<float>(at(channel, y, x)));
    }
  }
};

/// The place of patch `index` of a picture: its first row and column.
struct PatchPlace {
  int y, x;
  PatchPlace(const Picture& picture, flow::PatchGrid grid, int index)
      : y(flow::patch_start(index / grid.across, grid.stride, picture.height)),
        x(flow::patch_start(index % grid.across, grid.stride, picture.width)) {}
};

/// Calls use(channel, y, x) for every sample of a patch whose first pixel is (0, 0).
template <class Use>
void for_samples(const Use& use) {
  for (int c = 0; c < 3; c++) {
    for (int i = 0; i < flow::patch_side * flow::patch_side; i++) use(c, i / flow::patch_side, i % flow::patch_side);
  }
}

inline double across_at(const Picture& p, int c, int y, int x) { return (p.at(c, y, x + 1) - p.at(c, y, x - 1)) / 2; }
inline double down_at(const Picture& p, int c, int y, int x) { return (p.at(c, y + 1, x) - p.at(c, y - 1, x)) / 2; }

/// N x template_cols.
inline Map patch_templates(const Picture& picture, flow::PatchGrid grid) {
  Map out(grid.size(), flow::template_cols);
  for (int n = 0; n < grid.size(); n++) {
    const PatchPlace at(picture, grid, n);
    for_samples([&](int c, int y, int x) {
      out.at(n, c) += picture.at(c, at.y + y, at.x + x) / 64;
      out.at(n, 3 + c) += across_at(picture, c, at.y + y, at.x + x) / 64;
      out.at(n, 6 + c) += down_at(picture, c, at.y + y, at.x + x) / 64;
    });
    double a = 0, b = 0, d = 0;
    for_samples([&](int c, int y, int x) {
      const double value = picture.at(c, at.y + y, at.x + x) - out.at(n, c);
      const double gx = across_at(picture, c, at.y + y, at.x + x), gy = down_at(picture, c, at.y + y, at.x + x);
      out.at(n, 9) += value * value, out.at(n, 10) += value * gx, out.at(n, 11) += value * gy;
      const double dx = gx - out.at(n, 3 + c), dy = gy - out.at(n, 6 + c);
      a += dx * dx, b += dx * dy, d += dy * dy;
    });
    out.at(n, 15) = ((a + d) / 2 - std::sqrt((a - d) * (a - d) / 4 + b * b)) / 192;
    a += 1.3 * 192, d += 1.3 * 192;
    out.at(n, 12) = d / (a * d - b * b), out.at(n, 13) = -b / (a * d - b * b), out.at(n, 14) = a / (a * d - b * b);
  }
  return out;
}

/// A patch at a motion: its cost there, and the step that the descent takes from there.
struct PatchStep {
  double u, v, cost, du, dv;
};

class PatchDescent {
 public:
  PatchDescent(const Picture& from, const Picture& to, flow::PatchGrid grid, const Map& templates, int index)
      : from_(from), to_(to), place_(from, grid, index), t_(&templates.v[std::size_t{16} * index]) {}

  PatchStep at(double u, double v) const {
    const auto warped = [&](int c, int y, int x) { return to_.between(c, place_.y + y + v, place_.x + x + u); };
    double means[3] = {}, square = 0;
    for_samples([&](int c, int y, int x) { means[c] += warped(c, y, x) / 64; });
    for_samples([&](int c, int y, int x) { square += std::pow(warped(c, y, x) - means[c], 2); });
    const double gain = std::clamp(std::sqrt((t_[9] + 4 * 192) / (square + 4 * 192)), 0.5, 2.);
    double cost = 0, gx = 0, gy = 0;
    for_samples([&](int c, int y, int x) {
      const double value = from_.at(c, place_.y + y, place_.x + x) - t_[c];
      const double difference = gain * (warped(c, y, x) - means[c]) - value;
      cost += difference * difference;
      gx += difference * across_at(from_, c, place_.y + y, place_.x + x);
      gy += difference * down_at(from_, c, place_.y + y, place_.x + x);
    });
    if (cost < 4e-6 * t_[9]) cost = 0;
    return {u, v, cost, -(t_[12] * gx + t_[13] * gy), -(t_[13] * gx + t_[14] * gy)};
  }

  PatchStep descend(PatchStep from, const flow::SearchOptions& options) const {
    PatchStep now = from;
    for (int i = 0; i < options.iterations && t_[15] >= options.texture && now.cost > 0; i++) {
      const double part = std::min(1., 2 * std::hypot(now.du, now.dv) / options.stop - 1);
      if (part <= 0) break;
      const PatchStep next = at(now.u + part * now.du, now.v + part * now.dv);
      if (std::hypot(next.u - from.u, next.v - from.v) > options.reach || next.cost >= now.cost + 4e-6 * t_[9]) break;
      now = next;
    }
    const double part = 6 - 5 * relative(now.cost) / options.unlike;
    if (part >= 1) return now;
    return part <= 0 ? from : at(from.u + part * (now.u - from.u), from.v + part * (now.v - from.v));
  }

  double relative(double cost) const { return std::min(1., cost / (t_[9] + 192)); }
  double centre_x() const { return place_.x + 4; }
  double centre_y() const { return place_.y + 4; }

 private:
  const Picture &from_, &to_;
  PatchPlace place_;
  const double* t_;
};

/// A planar flow.
struct Hypothesis {
  int height, width;
  Values v;

  /// The motion along one axis at a position of a level, bilinear, in pixels of the level.
  double at(int plane, double y, double x, int level_height, int level_width) const {
    // Half the level, rounded down, is still the level above.
    const double scale_y = height == level_height / 2 ? 0.5 : static_cast<double>(height) / level_height;
    const double scale_x = width == level_width / 2 ? 0.5 : static_cast<double>(width) / level_width;
    const double longest = 2 * (height + width);
    y = std::clamp(y * scale_y - 0.5, 0., height - 1.), x = std::clamp(x * scale_x - 0.5, 0., width - 1.);
    double sum = 0;
    for (int row = 0; row < height; row++) {
      for (int col = 0; col < width; col++) {
        const double weight = std::max(0., 1 - std::abs(x - col)) * std::max(0., 1 - std::abs(y - row));
        const double value = v[(static_cast<std::size_t>(plane) * height + row) * width + col];
        if (weight > 0 && std::isfinite(value)) sum += weight * std::clamp(value, -longest, longest);
      }
    }
    return sum / (plane == 0 ? scale_x : scale_y);
  }
};

/// K*N x patch_cols.
inline Map search_patches(const Picture& from, const Picture& to, flow::PatchGrid grid, const Map& templates,
                          const std::vector<Hypothesis>& hypotheses, bool zero, const flow::SearchOptions& options) {
  const int zeros = zero ? 1 : 0, count = zeros + static_cast<int>(hypotheses.size());
  Map out(count * grid.size(), flow::patch_cols);
  for (int r = 0; r < out.rows; r++) {
    const PatchDescent patch(from, to, grid, templates, r % grid.size());
    double start[2] = {0, 0};
    if (const int k = r / grid.size() - zeros; k >= 0) {
      for (int plane = 0; plane < 2; plane++) {
        start[plane] = hypotheses[k].at(plane, patch.centre_y(), patch.centre_x(), from.height, from.width);
      }
    }
    const PatchStep found = patch.descend(patch.at(start[0], start[1]), options);
    out.at(r, 0) = found.u, out.at(r, 1) = found.v, out.at(r, 2) = found.cost;
    out.at(r, 3) = patch.relative(found.cost);
  }
  return out;
}

/// N x patch_cols.
inline Map propagate_patches(const Picture& from, const Picture& to, flow::PatchGrid grid, const Map& templates,
                             const Map& patches, const flow::SearchOptions& options) {
  Map out = patches;
  for (int n = 0; n < grid.size(); n++) {
    const PatchDescent patch(from, to, grid, templates, n);
    const int y = n / grid.across, x = n % grid.across;
    PatchStep now{patches.at(n, 0), patches.at(n, 1), patches.at(n, 2), 0, 0};
    bool adopted = false;
    for (const auto [dy, dx] : {std::array{0, -1}, {0, 1}, {-1, 0}, {1, 0}}) {
      if (y + dy < 0 || y + dy >= grid.down || x + dx < 0 || x + dx >= grid.across) continue;
      const int other = (y + dy) * grid.across + x + dx;
      const double u = patches.at(other, 0), v = patches.at(other, 1);
      if (std::abs(u - now.u) + std::abs(v - now.v) < options.stop) continue;
      const PatchStep offer = patch.at(u, v);
      if (offer.cost < options.better * now.cost) now = offer, adopted = true;
    }
    if (!adopted) continue;
    now = patch.descend(now, options);
    out.at(n, 0) = now.u, out.at(n, 1) = now.v, out.at(n, 2) = now.cost, out.at(n, 3) = patch.relative(now.cost);
  }
  return out;
}

/// What vote_patches makes as small as possible: count x N.
inline Map votes(flow::PatchGrid grid, const Map& templates, const Map& found, const flow::SearchOptions& options) {
  const auto relative = [&](int k, int n) {
    return std::min(1., found.at(k * grid.size() + n, 2) / (templates.at(n, 9) + 192));
  };
  Map out(found.rows / grid.size(), grid.size());
  for (int k = 0; k < out.rows; k++) {
    for (int n = 0; n < grid.size(); n++) {
      double sum = 0;
      int count = 0;
      for (int other = 0; other < grid.size(); other++) {
        if (std::abs(other / grid.across - n / grid.across) > options.window) continue;
        if (std::abs(other % grid.across - n % grid.across) > options.window) continue;
        sum += relative(k, other), count++;
      }
      out.at(k, n) = relative(k, n) + options.support * sum / count;
    }
  }
  return out;
}

/// 1 x 8.
inline Doubles fit_exposure(const Picture& to, flow::PatchGrid grid, const Map& templates, const Map& patches) {
  const int step = std::max(1, static_cast<int>(std::ceil(std::sqrt(grid.size() / 1200.0))));
  Doubles out(8, 0);
  for (int c = 0; c < 3; c++) {
    double gain = 1, offset = 0;
    for (int round = 0; round < 4; round++) {
      Doubles from, at, weights;
      for (int n = 0; n < grid.size(); n++) {
        if (n / grid.across % step != 0 || n % grid.across % step != 0) continue;
        const PatchPlace place(to, grid, n);
        const double y = place.y + patches.at(n, 1), x = place.x + patches.at(n, 0);
        if (y < 0 || x < 0 || y > to.height - 8 || x > to.width - 8) continue;
        double sum = 0;
        for (int i = 0; i < 64; i++) {
          sum += to.at(c, static_cast<int>(y + .6) + i / 8, static_cast<int>(x + .6) + i % 8);
        }
        from.push_back(templates.at(n, c)), at.push_back(sum / 64);
        weights.push_back(round == 0 ? 1 : 1 / (4 + std::abs(sum / 64 - gain * templates.at(n, c) - offset)));
      }
      double weight = 0, mean_from = 0, mean_at = 0, square = 0, product = 0;
      for (std::size_t i = 0; i < from.size(); i++) {
        weight += weights[i], mean_from += weights[i] * from[i], mean_at += weights[i] * at[i];
      }
      if (weight == 0) break;
      mean_from /= weight, mean_at /= weight;
      for (std::size_t i = 0; i < from.size(); i++) {
        square += weights[i] / weight * (from[i] - mean_from) * (from[i] - mean_from);
        product += weights[i] / weight * (from[i] - mean_from) * (at[i] - mean_at);
      }
      gain = (product + 10) / (square + 10), offset = mean_at - gain * mean_from;
      if (round < 3) continue;
      const auto without_noise = [](double d, double noise) { return d * std::clamp(std::abs(d) / noise - 1, 0., 1.); };
      gain = 1 + without_noise(gain - 1, .04), offset = without_noise(mean_at - gain * mean_from, 1);
    }
    out[c] = std::clamp(gain, 0.3, 3.), out[4 + c] = offset;
  }
  return out;
}

/// 3*height x width: u, v and `sure`.
inline Map densify_patches(const Picture& from, const Picture& to, flow::PatchGrid grid, const Map& patches,
                           const Values& exposure) {
  Map out(3 * from.height, from.width), weights(from.height, from.width);
  for (int n = 0; n < grid.size(); n++) {
    const PatchPlace place(from, grid, n);
    const double u = patches.at(n, 0), v = patches.at(n, 1);
    for (int i = 0; i < 64; i++) {
      const int y = place.y + i / 8, x = place.x + i % 8;
      double residual = 0;
      for (int c = 0; c < 3; c++) {
        residual += std::abs(to.between(c, y + v, x + u) - exposure[4 + c] - exposure[c] * from.at(c, y, x)) / 3;
      }
      const double weight = std::pow(0.5 / std::max(residual, 0.5), 2);
      weights.at(y, x) += weight;
      out.at(y, x) += weight * u, out.at(from.height + y, x) += weight * v;
      out.at(2 * from.height + y, x) += weight * 0.25 / (0.25 + residual * residual);
    }
  }
  for (int r = 0; r < out.rows; r++) {
    for (int x = 0; x < out.cols; x++) out.at(r, x) /= weights.at(r % from.height, x);
  }
  return out;
}

}  // namespace reference

#pragma once

// Every stage of `Ops` in double precision, with plain loops.

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "ops/ops.h"

namespace reference {

using Values = std::vector<float>;
using Doubles = std::vector<double>;

/// Row-major.
struct Map {
  int rows = 0;
  int cols = 0;
  Doubles v;

  Map(int r, int c) : rows(r), cols(c), v(static_cast<std::size_t>(r) * c) {}
  Map(int r, int c, const Values& values) : rows(r), cols(c), v(values.begin(), values.end()) {}
  double& at(int r, int c) { return v[static_cast<std::size_t>(r) * cols + c]; }
  double at(int r, int c) const { return v[static_cast<std::size_t>(r) * cols + c]; }
};

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double silu(double x) { return x * sigmoid(x); }
inline double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

template <class F>
Map apply(Map m, const F& f) {
  for (double& x : m.v) x = f(x);
  return m;
}

inline Map linear(const Map& in, const flow::LinearWeights& w) {
  Map out(in.rows, w.out);
  for (int r = 0; r < in.rows; r++) {
    for (int o = 0; o < w.out; o++) {
      double sum = w.bias.empty() ? 0.0 : w.bias[o];
      for (int i = 0; i < in.cols; i++) sum += in.at(r, i) * w.weight[static_cast<std::size_t>(o) * in.cols + i];
      out.at(r, o) = sum * (w.gain.empty() ? 1.0 : w.gain[o]);
    }
  }
  return out;
}

inline Map layer_norm(const Map& in, const Values& gamma, const Values& beta, double epsilon) {
  Map out(in.rows, in.cols);
  for (int r = 0; r < in.rows; r++) {
    double mean = 0, variance = 0;
    for (int c = 0; c < in.cols; c++) mean += in.at(r, c) / in.cols;
    for (int c = 0; c < in.cols; c++) variance += (in.at(r, c) - mean) * (in.at(r, c) - mean) / in.cols;
    for (int c = 0; c < in.cols; c++) {
      out.at(r, c) = (in.at(r, c) - mean) / std::sqrt(variance + epsilon) * gamma[c] + beta[c];
    }
  }
  return out;
}

/// Rotates the patches of q or k (tokens x heads*head_dim) in place; angles are patches x head_dim / 2.
inline void rotate(Map& m, const flow::AttentionShape& s, const Values& cos, const Values& sin) {
  const int half = s.head_dim / 2;
  for (int t = s.prefix; t < s.tokens; t++) {
    for (int h = 0; h < s.heads; h++) {
      for (int d = 0; d < half; d++) {
        const std::size_t angle = static_cast<std::size_t>(t - s.prefix) * half + d;
        double &x = m.at(t, h * s.head_dim + d), &y = m.at(t, h * s.head_dim + half + d);
        const double rx = x * cos[angle] - y * sin[angle], ry = y * cos[angle] + x * sin[angle];
        x = rx, y = ry;
      }
    }
  }
}

inline Map attention(const Map& q, const Map& k, const Map& v, const flow::AttentionShape& s) {
  Map out(s.tokens, s.heads * s.head_dim);
  Doubles p(s.tokens);
  for (int h = 0; h < s.heads; h++) {
    const int first = h * s.head_dim;
    for (int t = 0; t < s.tokens; t++) {
      for (int u = 0; u < s.tokens; u++) {
        p[u] = 0;
        for (int d = first; d < first + s.head_dim; d++) p[u] += q.at(t, d) * k.at(u, d) / std::sqrt(s.head_dim);
      }
      const double top = *std::max_element(p.begin(), p.end());
      double sum = 0;
      for (double& x : p) sum += x = std::exp(x - top);
      for (int u = 0; u < s.tokens; u++) {
        for (int d = first; d < first + s.head_dim; d++) out.at(t, d) += p[u] / sum * v.at(u, d);
      }
    }
  }
  return out;
}

/// Calls f(row of the neighbour or -1, tap) for the 3x3 neighbours of a pixel.
template <class F>
void neighbours(flow::Grid grid, int row, const F& f) {
  for (int t = 0; t < 9; t++) {
    const int y = row / grid.width + t / 3 - 1, x = row % grid.width + t % 3 - 1;
    const bool inside = y >= 0 && y < grid.height && x >= 0 && x < grid.width;
    f(inside ? y * grid.width + x : -1, t);
  }
}

inline Map depthwise(const Map& in, flow::Grid grid, const Values& weight) {
  Map out(in.rows, in.cols);
  for (int r = 0; r < in.rows; r++) {
    neighbours(grid, r, [&](int n, int t) {
      for (int c = 0; n >= 0 && c < in.cols; c++) out.at(r, c) += in.at(n, c) * weight[c * 9 + t];
    });
  }
  return out;
}

inline Map conv3x3(const Map& in, flow::Grid grid, const flow::LinearWeights& w) {
  Map out(in.rows, w.out);
  for (int r = 0; r < in.rows; r++) {
    for (int o = 0; o < w.out; o++) {
      out.at(r, o) = w.bias[o];
      neighbours(grid, r, [&](int n, int t) {
        for (int c = 0; n >= 0 && c < in.cols; c++) {
          out.at(r, o) += in.at(n, c) * w.weight[(static_cast<std::size_t>(o) * in.cols + c) * 9 + t];
        }
      });
    }
  }
  return out;
}

inline Map correlation_concat(const Map& a, const Map& b, flow::Grid grid, int radius) {
  const int side = 2 * radius + 1, c = a.cols;
  Map out(a.rows, 3 * c + side * side);
  for (int r = 0; r < a.rows; r++) {
    for (int i = 0; i < c; i++) {
      out.at(r, i) = a.at(r, i);
      out.at(r, c + i) = b.at(r, i);
      out.at(r, 2 * c + i) = std::abs(a.at(r, i) - b.at(r, i));
    }
    for (int o = 0; o < side * side; o++) {
      const int y = r / grid.width + o / side - radius, x = r % grid.width + o % side - radius;
      if (y < 0 || y >= grid.height || x < 0 || x >= grid.width) continue;
      for (int i = 0; i < c; i++) out.at(r, 3 * c + o) += a.at(r, i) * b.at(y * grid.width + x, i) / std::sqrt(c);
    }
  }
  return out;
}

inline double match_similarity(const Map& a, const Map& b, flow::Grid grid, int radius) {
  const auto norm = [](const Map& m, int r) {
    double square = 0;
    for (int i = 0; i < m.cols; i++) square += m.at(r, i) * m.at(r, i);
    return std::sqrt(square);
  };
  double sum = 0;
  for (int r = 0; r < a.rows; r++) {
    double best = -1;
    for (int n = 0; n < b.rows; n++) {
      const int dy = n / grid.width - r / grid.width, dx = n % grid.width - r % grid.width;
      if (std::abs(dy) > radius || std::abs(dx) > radius) continue;
      double dot = 0;
      for (int i = 0; i < a.cols; i++) dot += a.at(r, i) * b.at(n, i);
      best = std::max(best, norm(a, r) > 0 && norm(b, n) > 0 ? dot / (norm(a, r) * norm(b, n)) : 0);
    }
    sum += best;
  }
  return sum / a.rows;
}

/// Of every cell: its motion, planar, NaN where the match does not count; by how much it could change without changing
/// that.
struct GlobalMatches {
  Doubles flow, margin;
};

inline GlobalMatches match_global(const Map& a, const Map& b, flow::Grid grid, const flow::MatchOptions& options) {
  const int n = grid.size();
  const auto describe = [&](const Map& map) {
    Map out(n, map.cols);
    for (int c = 0; c < map.cols; c++) {
      double mean = 0;
      for (int r = 0; r < n; r++) mean += map.at(r, c) / n;
      for (int r = 0; r < n; r++) {
        neighbours(grid, r, [&](int at, int) {
          if (at >= 0) out.at(r, c) += map.at(at, c) - mean;
        });
      }
    }
    for (int r = 0; r < n; r++) {
      double square = 0;
      for (int c = 0; c < map.cols; c++) square += out.at(r, c) * out.at(r, c);
      for (int c = 0; c < map.cols; c++) out.at(r, c) = square > 0 ? out.at(r, c) / std::sqrt(square) : 0;
    }
    return out;
  };
  const Map from = describe(a), to = describe(b);
  std::vector<int> best(n), back(n);
  Doubles lead(n), score(n, -2), back_score(n, -2), doubt(n, 2), back_doubt(n, 2);
  const auto apart = [&](int i, int j) {
    return std::max(std::abs(i / grid.width - j / grid.width), std::abs(i % grid.width - j % grid.width));
  };
  Map dots(n, n);
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) {
      for (int c = 0; c < a.cols; c++) dots.at(i, j) += from.at(i, c) * to.at(j, c);
      const double dot = dots.at(i, j);
      if (dot > score[i])
        doubt[i] = dot - score[i], score[i] = dot, best[i] = j;
      else
        doubt[i] = std::min(doubt[i], score[i] - dot);
      if (dot > back_score[j])
        back_doubt[j] = dot - back_score[j], back_score[j] = dot, back[j] = i;
      else
        back_doubt[j] = std::min(back_doubt[j], back_score[j] - dot);
    }
  }
  GlobalMatches out{Doubles(2 * n, NAN), Doubles(n)};
  for (int i = 0; i < n; i++) {
    double second = 0;
    bool all_near = true;
    for (int j = 0; j < n; j++) {
      if (apart(best[i], j) <= flow::match_near) continue;
      all_near = false;
      second = std::max(second, dots.at(i, j));
    }
    lead[i] = all_near ? 0 : score[i] - second;
  }
  for (int i = 0; i < n; i++) {
    int agree = -1;
    out.margin[i] = std::min({std::abs(lead[i] - options.lead), doubt[i], back_doubt[best[i]]});
    neighbours(grid, i, [&](int at, int) {
      if (at < 0) return;
      const int down = best[at] / grid.width - at / grid.width - (best[i] / grid.width - i / grid.width);
      const int across = best[at] % grid.width - at % grid.width - (best[i] % grid.width - i % grid.width);
      agree += std::abs(down) <= 1 && std::abs(across) <= 1 ? 1 : 0;
      out.margin[i] = std::min(out.margin[i], doubt[at]);
    });
    if (apart(back[best[i]], i) > 1 || lead[i] <= options.lead || agree < options.agree) continue;
    out.flow[i] = best[i] % grid.width - i % grid.width;
    out.flow[n + i] = best[i] / grid.width - i / grid.width;
  }
  return out;
}

/// Planar: 2*height*up x width*up.
inline Map mask_upsample(const Map& logits, const Map& flow, flow::Grid grid, int up) {
  const int height = grid.height * up, width = grid.width * up, cells = up * up;
  Map out(2 * height, width);
  for (int r = 0; r < logits.rows; r++) {
    for (int cell = 0; cell < cells; cell++) {
      double sum = 0, x = 0, y = 0;
      neighbours(grid, r, [&](int n, int t) {
        const double e = std::exp(logits.at(r, t * cells + cell));
        sum += e;
        if (n >= 0) x += e * flow.at(n, 0), y += e * flow.at(n, 1);
      });
      const int row = r / grid.width * up + cell / up, col = r % grid.width * up + cell % up;
      out.at(row, col) = up * x / sum;
      out.at(height + row, col) = up * y / sum;
    }
  }
  return out;
}

/// Confidence of every pixel, and its ratio |d|^2 / limit. A pixel is occluded if its ratio is above 1.
struct RoundTrip {
  Doubles ratio, confidence;
};

inline RoundTrip round_trip(const Values& forward, const Values& backward, int height, int width) {
  const int n = height * width;
  RoundTrip result{Doubles(n, INFINITY), Doubles(n, 0)};
  for (int i = 0; i < n; i++) {
    const double u = forward[i], v = forward[n + i], x = i % width + u, y = i / width + v;
    if (!(x >= -.5 && x < width - .5 && y >= -.5 && y < height - .5)) continue;
    const double at_x = std::clamp(x, 0., width - 1.), at_y = std::clamp(y, 0., height - 1.);
    double back[2] = {0, 0};
    for (int plane = 0; plane < 2; plane++) {
      for (int row = 0; row < height; row++) {
        for (int col = 0; col < width; col++) {
          if (col < std::floor(at_x) || col > at_x + 1 || row < std::floor(at_y) || row > at_y + 1) continue;
          const double weight = std::max(0., 1 - std::abs(at_x - col)) * std::max(0., 1 - std::abs(at_y - row));
          back[plane] += weight * backward[plane * n + row * width + col];
        }
      }
    }
    const double square = (u + back[0]) * (u + back[0]) + (v + back[1]) * (v + back[1]);
    const double limit = .01 * (u * u + v * v + back[0] * back[0] + back[1] * back[1]) + .5;
    if (!std::isfinite(square)) continue;
    result.ratio[i] = square / limit;
    result.confidence[i] = limit / (limit + square);
  }
  return result;
}

/// Bilinear, half-pixel centres, of a planar flow (2*h x w).
inline Map resize_flow(const Map& in, int height, int width) {
  const int h = in.rows / 2, w = in.cols;
  Map out(2 * height, width);
  const auto clamp = [](double v, int n) { return std::clamp(v, 0.0, static_cast<double>(n - 1)); };
  for (int r = 0; r < out.rows; r++) {
    const int plane = r / height;
    const double y = clamp((r % height + 0.5) * h / height - 0.5, h);
    for (int c = 0; c < width; c++) {
      const double x = clamp((c + 0.5) * w / width - 0.5, w);
      const int y0 = static_cast<int>(y), x0 = static_cast<int>(x);
      const int y1 = std::min(y0 + 1, h - 1), x1 = std::min(x0 + 1, w - 1);
      const double fy = y - y0, fx = x - x0;
      const double value = (in.at(plane * h + y0, x0) * (1 - fx) + in.at(plane * h + y0, x1) * fx) * (1 - fy) +
                           (in.at(plane * h + y1, x0) * (1 - fx) + in.at(plane * h + y1, x1) * fx) * fy;
      out.at(r, c) = value * (plane == 0 ? static_cast<double>(width) / w : static_cast<double>(height) / h);
    }
  }
  return out;
}

using Wheel = std::vector<std::array<int, 3>>;

/// Baker et al.'s colours of a planar flow (2*h x w): red, green, blue of every pixel, from 0 to 255 and not yet
/// rounded down.
inline Doubles color_flow(const Map& flow, const flow::FlowColors& colors, const Wheel& wheel) {
  const int h = flow.rows / 2, w = flow.cols;
  const auto length = [&](int y, int x) { return std::hypot(flow.at(y, x), flow.at(h + y, x)); };
  double unit = colors.scale;
  if (unit == 0) {
    for (int y = 0; y < h; y++) {
      for (int x = 0; x < w; x++) unit = std::isfinite(length(y, x)) ? std::max(unit, length(y, x)) : unit;
    }
    unit = std::min(unit, colors.clip_max);
  }
  unit += 1e-5;
  const int last = static_cast<int>(wheel.size()) - 1;
  Doubles out;
  for (int y = 0; y < h; y++) {
    for (int x = 0; x < w; x++) {
      if (!std::isfinite(length(y, x)) || length(y, x) < colors.clip_min) {
        out.insert(out.end(), 3, 255);
        continue;
      }
      const double u = std::clamp(flow.at(y, x), -colors.clip_max, colors.clip_max);
      const double v = std::clamp(flow.at(h + y, x), -colors.clip_max, colors.clip_max);
      const double place = (std::atan2(-v, -u) / M_PI + 1) / 2 * last, radius = std::hypot(u, v) / unit;
      const int from = static_cast<int>(place), to = from == last ? 0 : from + 1;
      for (int c = 0; c < 3; c++) {
        const double full = wheel[from][c] + (place - from) * (wheel[to][c] - wheel[from][c]);
        out.push_back(radius <= 1 ? 255 - radius * (255 - full) : 0.75 * full);
      }
    }
  }
  return out;
}

}  // namespace reference

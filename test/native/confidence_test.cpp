// The stages that rate a refined flow, against loops in double precision.

#include <array>
#include <cstring>

#include "every_engine.h"
#include "reference_patches.h"

using namespace flow;
using reference::Doubles;
using reference::Map;
using reference::Picture;

namespace {

template <class... Parts>
void near(const Values& actual, const Doubles& expected, double bound, const Parts&... what) {
  check::that(actual.size() == expected.size(), what..., ": sizes differ");
  for (std::size_t i = 0; i < actual.size(); i++) {
    const double error = std::abs(actual[i] - expected[i]);
    check::that(error <= bound, what..., ": value ", i, " is ", actual[i], ", not ", expected[i]);  // not if NaN
  }
}

// ---- measures -------------------------------------------------------------------------------------------------------

/// A flow of H x W, and the motions of level 1.
struct Motions {
  int height, width;
  Values v;

  double half(int plane, int y, int x) const {
    double sum = 0;
    for (int i = 0; i < 4; i++) {
      sum += v[(static_cast<std::size_t>(plane) * height + 2 * y + i / 2) * width + 2 * x + i % 2];
    }
    return sum / 8;
  }
  /// The planes of level 1, which can be read between pixels.
  Picture halved() const {
    Picture level{height / 2, width / 2, {}};
    for (int plane = 0; plane < 2; plane++) {
      for (int i = 0; i < level.height * level.width; i++) {
        level.v.push_back(static_cast<float>(half(plane, i / level.width, i % level.width)));
      }
    }
    return level;
  }
  RealMatrix matrix(Bench& b) const { return b.matrix<Real>(2 * height, width, v); }
};

/// R, G, B and luma. From left to right it is plain, soft and all contrast. Its luma is not that of its colours, so
/// that a stage that reads another plane is noticed.
Picture draw(Random& random, int height, int width) {
  constexpr float contrasts[] = {0, 3, 30, 110};
  Picture picture{height, width, random.values(static_cast<std::size_t>(4) * height * width)};
  for (std::size_t i = 0; i < picture.v.size(); i++) {
    const auto x = static_cast<int>(i % static_cast<std::size_t>(width));
    picture.v[i] = 130 + contrasts[4 * x / width] * picture.v[i];
  }
  return picture;
}

/// Quarters of a pixel, with which float32 is exact, also at the frame's edge: around (u, v), and in the right half
/// with a spread of some pixels.
Motions move(Random& random, int height, int width, float u, float v) {
  Motions motions{height, width, random.values(static_cast<std::size_t>(2) * height * width)};
  for (std::size_t i = 0; i < motions.v.size(); i++) {
    const bool wild = 2 * (i % static_cast<std::size_t>(width)) > static_cast<std::size_t>(width);
    const float mean = i < motions.v.size() / 2 ? u : v, spread = wild ? 6 : 0.5F;
    motions.v[i] = std::round(4 * (mean + spread * motions.v[i])) / 4;
  }
  return motions;
}

/// What measure_flow is told.
struct Rated {
  Picture from, to;
  Motions flow, back;
  bool has_back;
  Values sure, exposure;

  Image image(Bench& b, const Picture& picture) const {
    Values values;
    for (int plane = 0; plane < 4; plane++) picture.append_bordered(plane, values);
    const int rows = 4 * (picture.height + 2 * image_border), cols = picture.width + 2 * image_border;
    return {picture.height, picture.width, b.matrix<Real>(rows, cols, values)};
  }
  Values measured(Bench& b) const {
    const auto measures = b.matrix<Real>(measure_count * from.height, from.width);
    b.ops.measure_flow(image(b, from), image(b, to), b.matrix<Real>(1, 8, exposure),
                       b.matrix<Real>(from.height, from.width, sure), flow.matrix(b),
                       has_back ? back.matrix(b) : RealMatrix{}, measures);
    return b.read(measures);
  }
};

/// All that a pixel adds to the means of the windows that it is in.
struct Sample {
  std::array<double, 3> a, w;
  double difference = 0, g_x, g_y, u, v, outside, sure, miss = 0;

  Sample(const Rated& rated, const Picture* back, int y, int x)
      : g_x(reference::across_at(rated.from, 3, y, x)),
        g_y(reference::down_at(rated.from, 3, y, x)),
        u(rated.flow.half(0, y, x)),
        v(rated.flow.half(1, y, x)),
        sure(rated.sure[static_cast<std::size_t>(y) * rated.from.width + x]) {
    for (int c = 0; c < 3; c++) {
      a.at(c) = rated.from.at(c, y, x), w.at(c) = rated.to.between(c, y + v, x + u);
      difference += std::abs(w.at(c) - rated.exposure[c] * a.at(c) - rated.exposure[4 + c]) / 3;
    }
    outside =
        y + v >= -0.5 && x + u >= -0.5 && y + v < rated.from.height - 0.5 && x + u < rated.from.width - 0.5 ? 0 : 1;
    if (back != nullptr) {
      miss = std::pow(u + back->between(0, y + v, x + u), 2) + std::pow(v + back->between(1, y + v, x + u), 2);
    }
  }
};

double part(double v, double scale) { return v / (v + scale); }

/// The measures of one pixel, from the samples of its window.
std::array<double, measure_count> measures_of(const std::array<const Sample*, 25>& window) {
  const auto mean = [&](const auto& of) {
    double sum = 0;
    for (const Sample* sample : window) sum += of(*sample);
    return sum / 25;
  };
  std::array<double, 3> mean_a{}, mean_w{};
  for (std::size_t c = 0; c < 3; c++) {
    mean_a.at(c) = mean([=](const Sample& s) { return s.a.at(c); });
    mean_w.at(c) = mean([=](const Sample& s) { return s.w.at(c); });
  }
  /// The mean over the window of a sum over the channels of `of`(A - its mean, W - its mean).
  const auto over_channels = [&](const auto& of) {
    return mean([&](const Sample& s) {
      double sum = 0;
      for (std::size_t c = 0; c < 3; c++) sum += of(s.a.at(c) - mean_a.at(c), s.w.at(c) - mean_w.at(c));
      return sum;
    });
  };
  const double variance_a = over_channels([](double a, double /*w*/) { return a * a; });
  const double variance_w = over_channels([](double /*a*/, double w) { return w * w; });
  const double gain = std::clamp(std::sqrt((variance_a + 12) / (variance_w + 12)), 0.5, 2.0);
  const double unlike = over_channels([=](double a, double w) { return (gain * w - a) * (gain * w - a); });
  const double difference = mean([](const Sample& s) { return s.difference; });
  const double xx = mean([](const Sample& s) { return s.g_x * s.g_x; });
  const double xy = mean([](const Sample& s) { return s.g_x * s.g_y; });
  const double yy = mean([](const Sample& s) { return s.g_y * s.g_y; });
  const double texture = (xx + yy) / 2 - std::sqrt((xx - yy) * (xx - yy) / 4 + xy * xy);
  const double u = mean([](const Sample&s) { return s.u; }), v = mean([](const Sample&s) { return s.v; });
  const double spread = mean([=](const Sample& s) { return std::pow(s.u - u, 2) + std::pow(s.v - v, 2); });
  const Sample& own = *window[12];
  return {part(unlike, 12),
          part(difference * difference, 4),
          part(texture, 4),
          part(spread, 0.05),
          mean([](const Sample& s) { return s.outside; }),
          mean([](const Sample& s) { return s.sure; }),
          part(own.u * own.u + own.v * own.v, 64),
          part(mean([](const Sample& s) { return s.miss; }), 0.05)};
}

Doubles measured(const Rated& rated) {
  const int height = rated.from.height, width = rated.from.width;
  const Picture back = rated.has_back ? rated.back.halved() : Picture{};
  std::vector<Sample> samples;
  for (int i = 0; i < height * width; i++) {
    samples.emplace_back(rated, rated.has_back ? &back : nullptr, i / width, i % width);
  }
  Map measures(measure_count * height, width);
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      std::array<const Sample*, 25> window{};
      for (int i = 0; i < 25; i++) {
        const int row = std::clamp(y + i / 5 - 2, 0, height - 1), column = std::clamp(x + i % 5 - 2, 0, width - 1);
        window.at(i) = &samples.at(static_cast<std::size_t>(row) * width + column);
      }
      const auto values = measures_of(window);
      for (int m = 0; m < measure_count; m++) measures.at(m * height + y, x) = values.at(m);
    }
  }
  return measures.v;
}

void check_measures(Bench& b, Random& random, int height, int width, float u, float v) {
  Values sure = random.values(static_cast<std::size_t>(height / 2) * (width / 2));
  for (float& s : sure) s = std::abs(s);
  for (const bool has_back : {false, true}) {
    const Rated rated{draw(random, height / 2, width / 2),
                      draw(random, height / 2, width / 2),
                      move(random, height, width, u, v),
                      move(random, height, width, -u, -v),
                      has_back,
                      sure,
                      {0.8F, 1.1F, 1.3F, 0, 20, -5, 3, 0}};
    near(rated.measured(b), measured(rated), 3e-4, height, " x ", width, ", motion ", u, ' ', v,
         has_back ? ", and back" : "");
  }
}

const WithoutOperands measures("measure_flow tells how alike, textured, smooth and sure a flow is",
                               [](Bench& b, Random& random) {
                                 for (const auto [height, width] : {std::array{8, 8}, {9, 13}, {61, 47}}) {
                                   check_measures(b, random, 2 * height, 2 * width, 3, -2);
                                   check_measures(b, random, 2 * height + 1, 2 * width, -9.5F, 4);
                                   check_measures(b, random, 2 * height, 2 * width + 1, 0, 0);
                                   check_measures(b, random, 2 * height + 1, 2 * width + 1, 5, 30);
                                 }
                               });

const WithoutOperands fast("measure_flow measures how smooth a motion of hundreds of pixels is as well as that of none",
                           [](Bench& b, Random& random) {
                             check_measures(b, random, 122, 94, 500, -700);
                             check_measures(b, random, 44, 150, -3000, 0);
                           });

// ---- rating ---------------------------------------------------------------------------------------------------------

ConfidenceWeights made_up(Random& random) {
  const Values values = random.values(sizeof(ConfidenceWeights) / sizeof(float), 3);
  ConfidenceWeights weights;
  std::memcpy(&weights, values.data(), sizeof weights);
  return weights;
}

Map probabilities(const Values& measures, const ConfidenceWeights& weights, int height, int width) {
  Map out(height, width);
  const auto size = static_cast<std::size_t>(height) * width;
  for (std::size_t i = 0; i < size; i++) {
    double z = weights.out[hidden_count];
    for (int h = 0; h < hidden_count; h++) {
      double sum = weights.hidden[h][measure_count];
      for (int m = 0; m < measure_count; m++) sum += weights.hidden[h][m] * measures[m * size + i];
      z += weights.out[h] * sum / (1 + std::abs(sum));
    }
    out.v[i] = reference::sigmoid(z);
  }
  return out;
}

const WithoutOperands rates("rate_flow gives the network's probabilities, at any size", [](Bench& b, Random& random) {
  for (const auto [height, width] : {std::array{8, 8}, {9, 13}, {61, 47}}) {
    Values measures = random.values(static_cast<std::size_t>(measure_count) * height * width);
    for (float& m : measures) m = std::abs(m);
    const ConfidenceWeights weights = made_up(random);
    const auto in = b.matrix<Real>(measure_count * height, width, measures);
    const Map expected = probabilities(measures, weights, height, width);
    const Picture picture{height, width, {expected.v.begin(), expected.v.end()}};
    for (const auto [to_height, to_width] :
         {std::array{2 * height, 2 * width}, {2 * height + 1, 2 * width + 1}, {height, width}, {1, 1}, {75, 5}}) {
      // Frames of 2h + 1 rows have h at level 1: their last one lies beyond it.
      const double down = (height + 0.5) / to_height, across = (width + 0.5) / to_width;
      const auto rated = b.matrix<Real>(height, width), confidence = b.matrix<Real>(to_height, to_width);
      b.ops.rate_flow(in, weights, rated, static_cast<float>(down), static_cast<float>(across), confidence);
      near(b.read(rated), expected.v, 1e-5, height, " x ", width);
      Map resized(to_height, to_width);
      for (int y = 0; y < to_height; y++) {
        for (int x = 0; x < to_width; x++) {
          resized.at(y, x) = picture.between(0, (y + 0.5) * down - 0.5, (x + 0.5) * across - 0.5);
        }
      }
      near(b.read(confidence), resized.v, 2e-5, height, " x ", width, " to ", to_height, " x ", to_width);
    }
  }
});

}  // namespace

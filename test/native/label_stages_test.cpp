// The stages of the choice between motions, against loops in double precision, on every engine.

#include <array>
#include <utility>

#include "bench_image.h"
#include "check.h"
#include "every_engine.h"
#include "reference_labels.h"

using namespace flow;
using reference::LabelMaps;
using reference::Map;
using reference::Picture;

namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

struct Size {
  int height, width;
};
constexpr Size sizes[] = {{2, 3}, {8, 8}, {1, 40}, {33, 1}, {31, 47}, {60, 75}};

Values floats(const Map& m) { return {m.v.begin(), m.v.end()}; }

/// Labels in the memory of an engine. What no stage has written is NaN.
class BenchLabels {
 public:
  BenchLabels(Bench& bench, const LabelMaps& maps) : b_(bench) {
    const int rows = most_labels * maps.height, motion_count = maps.count - maps.starts;
    Values motions(static_cast<std::size_t>(most_motions) * motion_cols, 0);
    for (int k = 0; k < motion_count; k++) motions[static_cast<std::size_t>(k + 1) * motion_cols - 1] = .2F;
    Values flows;
    for (int k = 0; k < maps.count; k++) {
      for (const Map* plane : {&maps.u, &maps.v}) {
        const auto first = plane->v.begin() + static_cast<std::ptrdiff_t>(k) * maps.height * maps.width;
        flows.insert(flows.end(), first, first + static_cast<std::ptrdiff_t>(maps.height) * maps.width);
      }
    }
    labels = {maps.height,
              maps.width,
              maps.starts,
              b_.matrix<Real>(2 * rows, maps.width, filled(2 * rows * maps.width, flows)),
              b_.matrix<Real>(rows, maps.width, filled(rows * maps.width, floats(maps.costs))),
              b_.matrix<Real>(rows, maps.width, filled(rows * maps.width, {})),
              b_.matrix<Real>(rows, maps.width, filled(rows * maps.width, {})),
              b_.matrix<Real>(most_motions, motion_cols, motions),
              b_.matrix<Real>(1, fact_cols, {.1F, .2F})};
  }

  Values read(RealMatrix planes, int first, int count) const {
    return b_.read(rows_of(planes, first * labels.height, count * labels.height));
  }
  Values facts() const { return b_.read(labels.facts); }
  Values motions() const { return b_.read(labels.motions); }
  float share(int motion) const { return motions()[static_cast<std::size_t>(motion + 1) * motion_cols - 1]; }

  Labels labels;

 private:
  static Values filled(int count, const Values& values) {
    Values all = values;
    all.resize(static_cast<std::size_t>(count), nan);
    return all;
  }

  Bench& b_;
};

/// Motions around (u, v) px with errors of up to `spread`, in quarters of pixels, and costs of 0 to 1.
LabelMaps made_up(Random& random, Size size, int starts, int count, float spread) {
  LabelMaps maps(size.height, size.width, starts, count);
  const Values off = random.values(2 * maps.u.v.size(), spread), costs = random.values(maps.u.v.size());
  for (std::size_t i = 0; i < maps.u.v.size(); i++) {
    const std::size_t label = i / (static_cast<std::size_t>(size.height) * size.width);
    maps.u.v[i] = std::round(4 * (off[2 * i] + static_cast<float>(label))) / 4;
    maps.v.v[i] = std::round(4 * (off[2 * i + 1] - static_cast<float>(label))) / 4;
    maps.costs.v[i] = std::abs(costs[i]);
  }
  return maps;
}

template <class... Parts>
void near(const Values& actual, const reference::Doubles& expected, double bound, const Parts&... what) {
  check::that(actual.size() == expected.size(), what..., ": sizes differ");
  for (std::size_t i = 0; i < actual.size(); i++) {
    const double error = std::abs(actual[i] - expected[i]);
    check::that(error <= bound, what..., ": value ", i, " is ", actual[i], ", not ", expected[i]);  // not if NaN
  }
}

/// R, G, B and luma of a picture that has slopes and edges.
Picture texture(Random& random, int height, int width, double shift) {
  Picture picture{height, width, random.values(static_cast<std::size_t>(4) * height * width, 2)};
  for (int i = 0, c = 0; c < 4; c++) {
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++, i++) {
        const double px = x + shift, wave = std::sin(.5 * px + .2 * y + c) + std::sin(.3 * y - .2 * px);
        picture.v[i] += static_cast<float>(110 + 40 * wave + (px + y > 40 ? 30 : 0));
      }
    }
  }
  return picture;
}

// ---- costs ----------------------------------------------------------------------------------------------------------

const WithoutOperands census(
    "census_costs compares each pixel with its neighbours, where labels lead", [](Bench& b, Random& random) {
      for (const Size size : sizes) {
        for (const int odd : {0, 1}) {
          const Picture from = texture(random, 2 * size.height + odd, 2 * size.width + odd, 0),
                        to = texture(random, 2 * size.height + odd, 2 * size.width + odd, 2);
          const LabelMaps maps = made_up(random, size, 2, 5, 3);
          const BenchLabels bench(b, maps);
          const auto exposure = b.matrix<Real>(1, 8, {.9F, 1.1F, 1.2F, 0, 3, 2, 1, 0});
          const Image from_image = image_of(b, from), to_image = image_of(b, to);
          const LabelOptions options{.contrast = 3};
          b.ops.census_costs(from_image, to_image, exposure, bench.labels, 0, 2, options);
          b.ops.census_costs(from_image, to_image, exposure, bench.labels, 2, most_motions, options);
          for (int k = 0; k < maps.count; k++) {
            const double gain = .299 * .9 + .587 * 1.1 + .114 * 1.2;
            near(bench.read(bench.labels.costs, k, 1), reference::census_costs(from, to, gain, maps, k, 3).v, 1e-3,
                 size.height, " x ", size.width, ", label ", k);
          }
          for (const float cost : bench.read(bench.labels.costs, maps.count, most_labels - maps.count)) {
            check::that(std::isnan(cost), "a motion that is none costs ", cost);
          }
        }
      }
    });

const WithoutOperands rates("rate_costs finds the median of what stays in the frame", [](Bench& b, Random& random) {
  for (const Size size : {Size{2, 3}, {8, 8}, {1, 40}, {31, 47}, {71, 95}, {2, 9000}, {9000, 2}}) {
    for (const int starts : {1, most_starts}) {
      const LabelMaps maps = made_up(random, size, starts, starts, 20);
      const BenchLabels bench(b, maps);
      b.ops.rate_costs(bench.labels, {.outside = .1F});
      const int step = LabelGrids(size.height, size.width).rated;
      Values least;
      for (int y = step / 2; y < size.height; y += step) {
        for (int x = step / 2; x < size.width; x += step) {
          float cost = 2;
          for (int k = 0; k < starts; k++) {
            const double own = maps.costs.at(k * size.height + y, x);
            if (maps.part_inside(k, y, x) > .9) cost = std::min(cost, static_cast<float>(own));
          }
          if (cost < 2) least.push_back(cost);
        }
      }
      std::ranges::sort(least);
      const float median = least.empty() ? 0 : least[least.size() / 2];
      const Values facts = bench.facts();
      check::that(facts[0] == median, size.height, " x ", size.width, ": ", facts[0], ", not ", median);
      check::that(std::abs(facts[1] - std::max(.05F, median + std::min(median, .1F))) < 1e-6, "outside ", facts[1]);
    }
  }
});

const WithoutOperands outside(
    "charge_outside mixes the cost with that outside by what leaves the frame", [](Bench& b, Random& random) {
      for (const Size size : sizes) {
        const LabelMaps maps = made_up(random, size, 3, 7, 9);
        const BenchLabels bench(b, maps);
        b.ops.charge_outside(bench.labels, {.relative = .7F, .moving = .03F});
        reference::Doubles costs, scales;
        for (int row = 0; row < maps.count * size.height; row++) {
          for (int x = 0; x < size.width; x++) {
            const double part = maps.part_inside(row / size.height, row % size.height, x);
            costs.push_back(part * maps.costs.at(row, x) + (1 - part) * .2F +
                            (row < size.height ? 0 : .03F + .002 * (row / size.height)));
            scales.push_back(1 / std::sqrt(1 + .7 * (std::abs(maps.u.at(row, x)) + std::abs(maps.v.at(row, x)))));
          }
        }
        near(bench.read(bench.labels.costs, 0, maps.count), costs, 1e-6, "costs");
        near(bench.read(bench.labels.scales, 0, maps.count), scales, 1e-6, "scales");
      }
    });

const WithoutOperands covers("charge_covered charges what another pixel hides", [](Bench& b, Random& random) {
  for (const Size size : sizes) {
    const LabelMaps maps = made_up(random, size, 2, 6, 12);
    const BenchLabels bench(b, maps);
    const auto pixels = static_cast<std::size_t>(size.height) * size.width;
    Values chosen = random.values(pixels, 3);
    for (float& label : chosen) label = std::floor(label + 3);    // 0 to 5
    std::vector<std::pair<double, int>> claims(pixels, {9, -1});  // cost, then the pixel that it comes from
    for (int i = 0; i < static_cast<int>(pixels); i++) {
      const int label = static_cast<int>(chosen[i]), y = i / size.width, x = i % size.width;
      const int to = maps.target(label, y, x);
      if (to >= 0) claims[to] = std::min(claims[to], {maps.costs.at(label * size.height + y, x), i});
    }
    Map expected = maps.costs;
    for (int row = 0; row < expected.rows; row++) {
      const int y = row % size.height;
      for (int x = 0; x < size.width; x++) {
        const int to = maps.target(row / size.height, y, x);
        if (to < 0 || claims[to].second < 0) continue;
        const auto [least, from] = claims[to];
        if (std::abs(from / size.width - y) + std::abs(from % size.width - x) <= 6) continue;
        double& cost = expected.at(row, x);
        if (least < cost + .05) cost = std::max(cost, .2F + .3);
      }
    }
    b.ops.charge_covered(bench.labels, {.covered = .3F}, b.matrix<Real>(size.height, size.width, chosen),
                         b.matrix<Real>(2 * size.height, size.width, Values(2 * pixels, 9)));
    near(bench.read(bench.labels.costs, 0, maps.count), expected.v, 1e-6, size.height, " x ", size.width);
  }
});

// ---- choice ---------------------------------------------------------------------------------------------------------

const WithoutOperands chooses(
    "choose_labels takes the label that fits a pixel and its neighbours best", [](Bench& b, Random& random) {
      for (const Size size : sizes) {
        for (const auto& [starts, count] : {std::pair{1, 1}, {1, 3}, {4, 4}, {most_starts, most_labels}}) {
          const LabelMaps maps = made_up(random, size, starts, count, 1);
          const BenchLabels bench(b, maps);
          const Picture picture = texture(random, size.height, size.width, 0);
          const LabelOptions options{.smoothness = .4F};
          const auto chosen = b.matrix<Real>(size.height, size.width),
                     flow = b.matrix<Real>(2 * size.height, size.width);
          LabelMaps charged = maps;
          b.ops.charge_outside(bench.labels, options);
          const Values costs = bench.read(bench.labels.costs, 0, count);
          charged.costs = Map(count * size.height, size.width, costs);
          for (int run = 0; run < 2; run++) b.ops.choose_labels(image_of(b, picture), bench.labels, options, chosen);
          b.ops.take_labels(bench.labels, chosen, flow);
          const Map sums = reference::label_sums(picture, charged, options, .1F);
          const Values choice = b.read(chosen), motion = b.read(flow);
          const std::size_t pixels = choice.size();
          for (int i = 0; i < static_cast<int>(pixels); i++) {
            const int y = i / size.width, x = i % size.width, label = static_cast<int>(choice[i]);
            check::that(choice[i] == static_cast<float>(label) && label >= 0 && label < count, "label ", choice[i]);
            for (int k = 0; k < count; k++) {
              check::that(sums.at(label * size.height + y, x) < sums.at(k * size.height + y, x) + 1e-4, size.height,
                          " x ", size.width, ", pixel ", y, ", ", x, ": label ", label, " costs ",
                          sums.at(label * size.height + y, x), ", label ", k, ' ', sums.at(k * size.height + y, x));
            }
            check::that(motion[i] == maps.u.at(label * size.height + y, x) &&
                            motion[pixels + i] == maps.v.at(label * size.height + y, x),
                        "another flow was taken");
          }
        }
      }
    });

const WithoutOperands first("choose_labels takes the first of equal labels", [](Bench& b, Random& random) {
  const Size size{9, 14};
  LabelMaps maps = made_up(random, size, 2, 5, 1);
  const std::size_t pixels = static_cast<std::size_t>(size.height) * size.width;
  for (Map* map : {&maps.u, &maps.v, &maps.costs}) {
    for (std::size_t i = 0; i < map->v.size(); i++) map->v[i] = map->v[i % pixels];
  }
  const BenchLabels bench(b, maps);
  const auto chosen = b.matrix<Real>(size.height, size.width);
  b.ops.charge_outside(bench.labels, {});
  Labels labels = bench.labels;  // every label at the cost of the first
  const Values cost = bench.read(labels.costs, 0, 1);
  Values costs;
  for (int k = 0; k < maps.count; k++) costs.insert(costs.end(), cost.begin(), cost.end());
  costs.resize(static_cast<std::size_t>(most_labels) * size.height * size.width);
  labels.costs = b.matrix<Real>(most_labels * size.height, size.width, costs);
  b.ops.choose_labels(image_of(b, texture(random, size.height, size.width, 0)), labels, {}, chosen);
  for (const float label : b.read(chosen)) check::that(label == 0 || label == 2, "label ", label);
});

// ---- motions --------------------------------------------------------------------------------------------------------

/// Starts that move as two surfaces do: the left three fifths turn and grow, the rest tilts away. A tenth of the pixels
/// is far off, and costs much or leaves the frame.
LabelMaps two_surfaces(Random& random, Size size, int starts) {
  LabelMaps maps(size.height, size.width, starts, starts);
  const Values noise = random.values(4 * maps.u.v.size());
  for (int row = 0; row < maps.u.rows; row++) {
    for (int x = 0; x < size.width; x++) {
      const int y = row % size.height;
      const std::size_t i = static_cast<std::size_t>(row) * size.width + x;
      const double px = (x - .5 * size.width) / size.width, py = (y - .5 * size.height) / size.width;
      const bool left = 5 * x < 3 * size.width;
      const double tilt = left ? 1 : 1 + .02 * px - .01 * py;
      const double dx = left ? .04 * px - .02 * py + .03 : ((px - .02 * py - .05) / tilt - px);
      const double dy = left ? .02 * px + .04 * py - .02 : ((py + .01 * px + .04) / tilt - py);
      const bool off = noise[4 * i] > .8F;
      maps.u.at(row, x) =
          static_cast<float>(size.width * dx + .02 * noise[4 * i + 1] + (off ? 20 * noise[4 * i + 2] : 0));
      maps.v.at(row, x) = static_cast<float>(size.width * dy + .02 * noise[4 * i + 2]);
      maps.costs.at(row, x) = off ? .5F : .1F + .05F * noise[4 * i + 3];
    }
  }
  return maps;
}

const WithoutOperands fits("fit_motions finds the motions of two surfaces, as the CPU does", [](Bench& b,
                                                                                                Random& random) {
  for (const Size size : {Size{60, 80}, {48, 131}, {135, 240}}) {
    for (const int starts : {1, 3}) {
      const LabelMaps maps = two_surfaces(random, size, starts);
      const BenchLabels bench(b, maps);
      Bench cpu(std::make_unique<cpu::CpuOps>(1), 0);
      const BenchLabels expected(cpu, maps);
      for (const int most : {6, 1, 0}) {
        b.ops.fit_motions(bench.labels, {.motions = most});
        cpu.ops.fit_motions(expected.labels, {.motions = most});
        for (int k = 0; k < most_motions; k++) {
          const float share = bench.share(k);
          check::that(k < most || share == 0, "motion ", k, " of at most ", most, " explains ", share);
          check::that(k >= std::min(most, 2) || share > .15F, "motion ", k, " explains ", share);
          check::that(std::abs(share - expected.share(k)) < 2e-3, size.height, " x ", size.width, ", motion ", k,
                      " explains ", share, ", on the CPU ", expected.share(k));
          if (share == 0) continue;
          const Values flow = b.read(bench.labels.flow(starts + k)), other = cpu.read(expected.labels.flow(starts + k));
          near(flow, {other.begin(), other.end()}, 5e-3, size.height, " x ", size.width, ", motion ", k);
        }
        if (most < 2) continue;
        for (const bool right : {false, true}) {  // the larger surface first
          const Values flow = b.read(bench.labels.flow(starts + (right ? 1 : 0)));
          double sum = 0;
          int count = 0;
          for (int i = 0; i < size.height * size.width; i++) {
            const int y = i / size.width, x = i % size.width;
            if ((5 * x >= 3 * size.width) != right || maps.costs.at(y, x) > .3) continue;
            sum += std::hypot(flow[i] - maps.u.at(y, x), flow[size.height * size.width + i] - maps.v.at(y, x));
            count++;
          }
          check::that(sum / count < .1, size.height, " x ", size.width, ": off by ", sum / count);
        }
      }
    }
  }
});

const WithoutOperands still("fit_motions finds exactly no motion in a flow of zeros", [](Bench& b, Random& /*random*/) {
  const LabelMaps maps(40, 50, 1, 1);  // of zeros, which cost nothing
  const BenchLabels bench(b, maps);
  b.ops.fit_motions(bench.labels, {});
  check::that(std::abs(bench.share(0) - 1) < 1e-5 && bench.share(1) == 0, "explains ", bench.share(0));
  for (const float motion : b.read(bench.labels.flow(1))) check::that(motion == 0, motion);
});

const WithoutOperands small("fit_motions finds none in a level that no window fits", [](Bench& b, Random& random) {
  for (const Size size : {Size{2, 3}, {9, 30}, {1, 40}}) {
    const BenchLabels bench(b, made_up(random, size, 1, 4, 0));
    b.ops.fit_motions(bench.labels, {});
    for (int k = 0; k < most_motions; k++) check::that(bench.share(k) == 0, "explains ", bench.share(k));
  }
});

// ---- sequences ------------------------------------------------------------------------------------------------------

const WithoutOperands recorded("a recorded choice gives the bits of its first run", [](Bench& b, Random& random) {
  const Size size{45, 61};
  const LabelMaps maps = two_surfaces(random, size, 2);
  const BenchLabels bench(b, maps);
  const Image from = image_of(b, texture(random, 2 * size.height, 2 * size.width, 0)),
              to = image_of(b, texture(random, 2 * size.height, 2 * size.width, 1));
  const Image level = image_of(b, texture(random, size.height, size.width, 0));
  const auto exposure = b.matrix<Real>(1, 8, {1, 1, 1, 0, 0, 0, 0, 0});
  const auto chosen = b.matrix<Real>(size.height, size.width), claims = b.matrix<Real>(2 * size.height, size.width),
             flow = b.matrix<Real>(2 * size.height, size.width);
  const SequenceKey key{5};
  std::vector<Values> results;
  for (int run = 0; run < 3; run++) {
    b.ops.sequence(&key, {}, [&] {
      const LabelOptions options;
      b.ops.census_costs(from, to, exposure, bench.labels, 0, 2, options);
      b.ops.rate_costs(bench.labels, options);
      b.ops.fit_motions(bench.labels, options);
      b.ops.census_costs(from, to, exposure, bench.labels, 2, options.motions, options);
      b.ops.charge_outside(bench.labels, options);
      b.ops.choose_labels(level, bench.labels, options, chosen);
      b.ops.charge_covered(bench.labels, options, chosen, claims);
      b.ops.choose_labels(level, bench.labels, options, chosen);
      b.ops.take_labels(bench.labels, chosen, flow);
    });
    b.ops.finish();
    results.push_back(b.read(flow));
  }
  check::that(results[1] == results[0] && results[2] == results[0], "another run, another flow");
});

}  // namespace

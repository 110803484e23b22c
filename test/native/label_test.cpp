// The choice between motions, on frames whose motion is known.

#include <algorithm>
#include <cmath>
#include <span>
#include <tuple>
#include <vector>

#include "check.h"
#include "cpu_refiner.h"

using namespace flow;

namespace {

constexpr RefineOptions without_motions() {
  RefineOptions options;
  options.labels.motions = 0;
  return options;
}

const check::Register leaving("what leaves the frame goes on as the rest of it moves", [] {
  constexpr int height = 240, width = 320, cell = 16;
  const Pair pair = moving_pair(height, width);
  // Where the network sees no match, its flow is none.
  auto seen = pair.flow;
  const auto size = static_cast<std::size_t>(height) * width;
  std::vector<std::size_t> gone;
  for (std::size_t i = 0; i < size; i++) {
    const double x = static_cast<double>(i % width) + seen[i], y = static_cast<double>(i / width) + seen[size + i];
    const double outside = std::max({-x, x - (width - 1), -y, y - (height - 1)});
    if (outside > 0) seen[i] = seen[size + i] = 0;
    if (outside > 4) gone.push_back(i);
  }
  CpuRefiner refinement(height, width, 2);
  const auto start = coarse_start(seen, height, width, cell, 1);
  const auto error = [&](const RefineOptions& options) {
    const auto flow = refinement.run(pair.from, pair.to, start, height / cell, options);
    double sum = 0;
    for (const std::size_t i : gone) sum += std::hypot(flow[i] - pair.flow[i], flow[size + i] - pair.flow[size + i]);
    return sum / static_cast<double>(gone.size());
  };
  const double chosen = error({}), filled = error(without_motions());
  check::that(chosen < 0.6, "EPE ", chosen);
  check::that(chosen < 0.75 * filled, "EPE ", chosen, ", without motions ", filled);
});

/// Labels of a level in the host's memory.
class HostLabels {
 public:
  HostLabels(int height, int width, int starts)
      : size_(static_cast<std::size_t>(height) * width),
        flows_(2 * most_labels * size_),
        costs_(most_labels * size_, 0.1F),
        scales_(most_labels * size_),
        sums_(most_labels * size_),
        motions_(std::size_t{most_motions} * motion_cols),
        facts_{0.1F, 0.2F} {
    const auto matrix = [&](std::vector<float>& values, int rows, int cols) {
      return RealMatrix{values.data(), rows, cols, cols};
    };
    const int rows = most_labels * height;
    labels = {height,
              width,
              starts,
              matrix(flows_, 2 * rows, width),
              matrix(costs_, rows, width),
              matrix(scales_, rows, width),
              matrix(sums_, rows, width),
              matrix(motions_, most_motions, motion_cols),
              matrix(facts_, 1, fact_cols)};
  }
  float& u(int label, int x, int y) { return flows_[2 * size_ * label + at(x, y)]; }
  float& v(int label, int x, int y) { return flows_[2 * size_ * label + size_ + at(x, y)]; }
  float& cost(int label, int x, int y) { return costs_[size_ * label + at(x, y)]; }
  float& share(int motion) { return motions_[static_cast<std::size_t>(motion * motion_cols + motion_cols - 1)]; }

  Labels labels;

 private:
  std::size_t at(int x, int y) const { return static_cast<std::size_t>(y) * labels.width + x; }

  std::size_t size_;
  std::vector<float> flows_, costs_, scales_, sums_, motions_, facts_;
};

const check::Register recovered("the motions in a flow are found, largest first, and drawn over the whole level", [] {
  constexpr int height = 120, width = 160;
  cpu::CpuOps ops(2);
  const auto truth = [](bool second, int x, int y) {
    return second ? std::pair(-3 + 0.02F * static_cast<float>(y), 1 - 0.03F * static_cast<float>(x))
                  : std::pair(2 + 0.03F * static_cast<float>(x), -1 + 0.01F * static_cast<float>(x + y));
  };
  HostLabels host(height, width, 1);
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) std::tie(host.u(0, x, y), host.v(0, x, y)) = truth(x >= 100, x, y);
  }
  ops.fit_motions(host.labels, {});
  check::that(host.share(0) > 0.4F && host.share(0) < 0.6F, "the first explains ", host.share(0));
  check::that(host.share(1) > 0.2F && host.share(1) < host.share(0), "the second explains ", host.share(1));
  for (const bool second : {false, true}) {
    const int label = second ? 2 : 1;
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        const auto [u, v] = truth(second, x, y);
        check::that(std::hypot(host.u(label, x, y) - u, host.v(label, x, y) - v) < 0.05, "motion ", label, " at ", x,
                    ", ", y, ": ", host.u(label, x, y), ", ", host.v(label, x, y), ", not ", u, ", ", v);
      }
    }
  }
});

const check::Register plain_parts("an object's plain part takes the motion of the rest of it", [] {
  // An object with a part where every motion fits. There, the flow found by search slides into the ground's motion.
  constexpr int height = 60, width = 80, left = 20, plain = 36, right = 60, top = 12, bottom = 48;
  for (const cpu::Kernels* kernels : cpu::runnable_kernels()) {
    cpu::CpuOps ops(2, *kernels);
    const FramePyramid pyramid(ops, 2 * height, 2 * width);  // level 1 has the labels' size
    Picture picture(2 * height, 2 * width);
    HostLabels host(height, width, 1);
    host.share(0) = host.share(1) = 0.4F;
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        const bool object = x >= left && x < right && y >= top && y < bottom;
        for (int i = 0; i < 12; i++) {  // the bytes of 2 x 2 pixels
          const int row = 2 * y + i / 6, byte = 6 * x + i % 6;
          picture.pixels[static_cast<std::size_t>(row * 6 * width + byte)] = object ? 200 : 60;
        }
        const float slide = static_cast<float>(right - x) / static_cast<float>(right - plain);
        host.u(0, x, y) = !object ? -2.F : x < plain ? 6.F : -2 + 8 * slide;
        host.u(1, x, y) = -2, host.u(2, x, y) = 6;
        host.cost(0, x, y) = 0.1F;
        host.cost(1, x, y) = !object || x >= plain ? 0.1F : 0.6F;
        host.cost(2, x, y) = object ? 0.1F : 0.6F;
      }
    }
    ops.image_pyramid(picture.frame(), pyramid.levels());
    std::vector<float> chosen(static_cast<std::size_t>(height) * width), flow(2 * chosen.size());
    const RealMatrix choice{chosen.data(), height, width, width};
    ops.charge_outside(host.labels, {.moving = 0});
    ops.choose_labels(pyramid.levels()[1], host.labels, {}, choice);
    ops.take_labels(host.labels, choice, {flow.data(), 2 * height, width, width});
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        const bool object = x >= left && x < right && y >= top && y < bottom;
        const float u = flow[static_cast<std::size_t>(y * width + x)];
        check::that(u == (object ? 6.F : -2.F), kernels->name, ": ", u, " at ", x, ", ", y);
      }
    }
  }
});

const check::Register combined("of two starts, each pixel takes the one that is right there", [] {
  constexpr int height = 240, width = 320, cell = 16;
  const Pair pair = moving_pair(height, width);
  const auto size = static_cast<std::size_t>(height) * width;
  std::vector<float> wrong[2] = {pair.flow, pair.flow};  // far off in the left or in the right half
  for (std::size_t i = 0; i < size; i++) {
    std::vector<float>& half = wrong[i % width < width / 2 ? 0 : 1];
    half[i] += 60, half[size + i] -= 45;
  }
  std::vector<float> starts[2];
  for (int k = 0; k < 2; k++) starts[k] = coarse_start(wrong[k], height, width, cell, 1);
  CpuRefiner refinement(height, width, 2);
  const auto flow = refinement.run(pair.from, pair.to, starts[0], height / cell, without_motions(), starts[1]);
  const double error = error_of(flow, pair.flow, height, width, 24);
  check::that(error < 0.1, "EPE ", error);
});

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }

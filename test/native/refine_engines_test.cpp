// The whole refinement on every engine: the flows are those of the CPU.

#include <array>
#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "check.h"
#include "every_engine.h"
#include "model/refiner.h"
#include "moving_pictures.h"
#include "refine_pair.h"

using namespace flow;

namespace {

constexpr int height = 131, width = 203, cell = 16;
constexpr int start_height = height / cell, start_width = width / cell;

/// The refined flows of a pair, from one engine: computed twice as a sequence of one key. A GPU replays the second.
std::array<Values, 2> refine(Ops& ops, const Pair& pair, std::span<const Values> starts, const RefineOptions& options) {
  const Refiner refiner(ops);
  Refiner::Plan plan = refiner.plan(height, width);
  const FramePyramid from(ops, height, width), to(ops, height, width);
  std::vector<std::unique_ptr<Memory>> memory;
  std::vector<Refiner::Start> begin;
  for (const Values& start : starts) {
    const int stride = ops.stride(start_width);
    memory.push_back(ops.allocate(sizeof(float) * static_cast<std::size_t>(2) * start_height * stride));
    begin.push_back({{memory.back()->data(), 2 * start_height, start_width, stride}, 1});
    ops.write(start, begin.back().flow);
  }
  static std::uint64_t runs = 0;
  const SequenceKey key{++runs};  // of this plan's memory
  std::array<Values, 2> flows;
  Values host(static_cast<std::size_t>(2) * height * width);
  for (Values& flow : flows) {
    std::ranges::fill(host, NAN);
    const std::array frames{ops.stage(pair.from.frame(), 0, height, width),
                            ops.stage(pair.to.frame(), 1, height, width)};
    const RealMatrix out = ops.output(host, 0, 2 * height, width);
    ops.sequence(&key, frames, [&] {
      ops.image_pyramid(frames[0], from.levels());
      ops.image_pyramid(frames[1], to.levels());
      refine_pair(refiner, from, to, begin, options, plan, out);
    });
    ops.finish();
    flow = host;
  }
  return flows;
}

/// Checks that an engine's flow is that of the CPU, to a hundredth of a pixel in 999 of 1000.
void check_agreement(Bench& b, const Pair& pair, std::span<const Values> starts, const RefineOptions& options) {
  cpu::CpuOps cpu(2);
  const auto expected = refine(cpu, pair, starts, options)[0];
  const auto flows = refine(b.ops, pair, starts, options);
  check::that(flows[0] == flows[1], "a second run gave another flow");
  int off = 0;
  constexpr int pixels = height * width;
  for (int i = 0; i < pixels; i++) {
    const float u = flows[0][i] - expected[i], v = flows[0][pixels + i] - expected[pixels + i];
    if (!(std::hypot(u, v) < 0.01F)) off++;
  }
  check::that(off * 1000 <= pixels, off, " of ", pixels, " pixels differ");
}

const WithoutOperands agree("the refined flow is the CPU's, with every preset", [](Bench& b, Random& /*random*/) {
  const Pair pair = moving_pair(height, width);
  const std::array starts{coarse_start(pair.flow, height, width, cell, 2)};
  for (const RefineOptions& options : {RefineOptions::fast(), RefineOptions{}, RefineOptions::best()}) {
    check_agreement(b, pair, starts, options);
  }
});

const WithoutOperands combined("the refined flow from two starts is the CPU's", [](Bench& b, Random& /*random*/) {
  const Pair pair = moving_pair(height, width);
  std::array starts{coarse_start(pair.flow, height, width, cell, 2), coarse_start(pair.flow, height, width, cell, 1)};
  for (int i = 0; i < start_height * start_width; i++) {  // each is wrong in one half
    starts[i % start_width < start_width / 2 ? 0 : 1][static_cast<std::size_t>(i)] += 3;
  }
  RefineOptions without_motions;
  without_motions.labels.motions = 0;
  check_agreement(b, pair, starts, {});
  check_agreement(b, pair, starts, without_motions);
});

const WithoutOperands insane("starts that are not finite give a finite flow", [](Bench& b, Random& random) {
  for (const auto& [rows, cols] : {std::pair{16, 16}, {17, 64}, {70, 45}}) {
    const Refiner refiner(b.ops);
    Refiner::Plan plan = refiner.plan(rows, cols);
    const FramePyramid from(b.ops, rows, cols), to(b.ops, rows, cols);
    const Picture pictures[] = {noise(rows, cols, 1), noise(rows, cols, 2)};
    const RealMatrix out = b.matrix<Real>(2 * rows, cols);
    for (const float strange : {NAN, INFINITY, -INFINITY, 1e30F, -1e30F}) {
      Values mixed = random.values(2 * 3 * 4, 5);
      mixed[random.values(1)[0] < 0 ? 5 : 17] = strange;
      const Refiner::Start starts[] = {{b.matrix<Real>(2 * 3, 4, Values(2 * 3 * 4, strange)), 1},
                                       {b.matrix<Real>(2 * 3, 4, mixed), 1}};
      for (const RefineOptions& options : {RefineOptions::fast(), RefineOptions{}, RefineOptions::best()}) {
        b.ops.image_pyramid(b.ops.stage(pictures[0].frame(), 0, rows, cols), from.levels());
        b.ops.image_pyramid(b.ops.stage(pictures[1].frame(), 1, rows, cols), to.levels());
        refine_pair(refiner, from, to, starts, options, plan, out);
        for (const float v : b.read(out))
          check::that(std::isfinite(v), rows, " x ", cols, ", start ", strange, ": ", v);
      }
    }
  }
});

}  // namespace

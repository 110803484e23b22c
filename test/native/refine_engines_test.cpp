// The whole refinement on every engine: the flows are those of the CPU.

#include <array>
#include <cmath>

#include "check.h"
#include "every_engine.h"
#include "model/refiner.h"
#include "moving_pictures.h"

using namespace flow;

namespace {

/// The refined flows of a pair, from one engine: computed twice as a sequence of one key. A GPU replays the second.
std::array<Values, 2> refine(Ops& ops, const Pair& pair, const std::vector<float>& start, int start_height,
                             const RefineOptions& options) {
  const int height = pair.from.height, width = pair.from.width;
  const int start_width = static_cast<int>(start.size()) / 2 / start_height;
  const Refiner refiner(ops);
  Refiner::Plan plan = refiner.plan(height, width);
  const FramePyramid from(ops, height, width), to(ops, height, width);
  const int stride = ops.stride(start_width);
  const auto memory = ops.allocate(sizeof(float) * static_cast<std::size_t>(2) * start_height * stride);
  const RealMatrix begin{memory->data(), 2 * start_height, start_width, stride};
  ops.write(start, begin);
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
      refiner.run(from, to, std::array{Refiner::Start{begin, 1}}, options, plan, out);
    });
    ops.finish();
    flow = host;
  }
  return flows;
}

const OnEveryEngine agree(
    "the refined flow is the CPU's, to a hundredth of a pixel in 999 of 1000", [](Bench& b, Random& /*random*/) {
      constexpr int height = 131, width = 203;
      const Pair pair = moving_pair(height, width);
      const auto start = coarse_start(pair.flow, height, width, 16, 2);
      cpu::CpuOps cpu(2);
      for (const RefineOptions& options : {RefineOptions::fast(), RefineOptions{}, RefineOptions::best()}) {
        const auto expected = refine(cpu, pair, start, height / 16, options)[0];
        const auto flows = refine(b.ops, pair, start, height / 16, options);
        check::that(flows[0] == flows[1], "a second run gave another flow");
        int off = 0;
        constexpr int pixels = height * width;
        for (int i = 0; i < pixels; i++) {
          const float u = flows[0][i] - expected[i], v = flows[0][pixels + i] - expected[pixels + i];
          if (!(std::hypot(u, v) < 0.01F)) off++;
        }
        check::that(off * 1000 <= pixels, off, " of ", pixels, " pixels differ");
      }
    });

}  // namespace

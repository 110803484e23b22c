// One frame of a stream on the emulated driver's count build, which writes what each launch does to a file:
// test/emulator/count.h. The seed's configuration on synthetic weights; no file is needed. bench/model.mjs runs it.
//
//   count_frame --counts FILE [--precision fp16|bf16|fp32] [--height H] [--width W]
//
// Equal launches run twice; the counts of the second stand for the others. So the flow is not computed.

#include <cstdio>
#include <cstdlib>

#include "bench/models.h"
#include "bench/options.h"
#include "cuda/cuda_ops.h"
#include "network_calls.h"
#include "synthetic_weights.h"

using namespace flow;
using bench::seed_backbone;
using bench::seed_head;

namespace {

/// Marks the launches of a branch, and those that run beside it.
class Marked : public cuda::CudaOps {
 public:
  using CudaOps::CudaOps;

  void fork(const std::function<void()>& branch) override {
    CudaOps::fork([&] {
      setenv("EMULATOR_COUNT_PATH", "branch", 1);
      branch();
    });
    setenv("EMULATOR_COUNT_PATH", "beside", 1);
  }
  void join() override {
    unsetenv("EMULATOR_COUNT_PATH");
    CudaOps::join();
  }
};

}  // namespace

int main(int argc, char** argv) try {
  bench::Options options("count_frame --counts FILE [--precision fp16|bf16|fp32] [--height H] [--width W]");
  std::string counts, precision = "fp16";
  int height = 640, width = 640;
  options.text("--counts", counts).text("--precision", precision).number("--height", height).number("--width", width);
  if (!options.parse(argc, argv).empty() || counts.empty()) options.fail();
  if (height % seed_backbone.patch != 0 || width % seed_backbone.patch != 0) options.fail();
  const bench::NamedEngine named("cuda", options);
  SyntheticWeights backbone = SyntheticWeights::backbone(seed_backbone);
  SyntheticWeights head = SyntheticWeights::head(seed_head, seed_backbone.dim);
  Network network(std::make_unique<Marked>(cuda::Context::of(0), named.precisions(precision, options).front()),
                  seed_backbone, seed_head, backbone, head);

  const Grid grid{height / seed_backbone.patch, width / seed_backbone.patch};
  const std::vector<std::uint8_t> pixels(std::size_t{3} * height * width, 99);
  const Frame frame = frame_of(pixels.data(), width, height);
  std::vector<float> flow(std::size_t{2} * height * width);
  NetworkCalls calls(network);
  setenv("EMULATOR_COUNT_EQUAL", "0", 1);  // no count depends on the features, so they need not be computed
  const FeatureId before = calls.encode(frame, grid);
  setenv("EMULATOR_COUNT_EQUAL", "2", 1);
  setenv("EMULATOR_COUNTS", counts.c_str(), 1);
  calls.advance(before, frame, grid, flow, height, width);
  unsetenv("EMULATOR_COUNTS");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

// One frame of a stream on the emulated driver's count build, which writes what each launch does to a file:
// test/emulator/count.h. The seed's configuration on synthetic weights; no file is needed. bench/model.mjs runs it.
//
//   count_frame --counts FILE [--precision fp16|bf16|fp32] [--height H] [--width W]
//
// Equal launches run twice; the counts of the second stand for the others. So the flow is not computed.

#include <cstdio>
#include <cstdlib>

#include "bench/options.h"
#include "bench/stream.h"
#include "cuda/cuda_ops.h"

using namespace flow;

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
  bench::Size size;
  options.text("--counts", counts).text("--precision", precision);
  options.number("--height", size.height).number("--width", size.width);
  if (!options.parse(argc, argv).empty() || counts.empty()) options.fail();
  const bench::NamedEngine named("cuda", options);
  const Precision number = named.precisions(precision, options).front();
  Network network = bench::load(bench::seed, std::make_unique<Marked>(cuda::Context::of(0), number));
  bench::Stream stream(network, bench::seed, size);
  setenv("EMULATOR_COUNT_EQUAL", "0", 1);  // no count depends on the features, so they need not be computed
  stream.encode();
  setenv("EMULATOR_COUNT_EQUAL", "2", 1);
  setenv("EMULATOR_COUNTS", counts.c_str(), 1);
  stream.advance();
  unsetenv("EMULATOR_COUNTS");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

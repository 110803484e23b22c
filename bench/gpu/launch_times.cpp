// The time of every launch of a stream's frame on a GPU, to hold beside the predictions of predict.mjs: the same frame
// as count_frame counts, with the seed's configuration on synthetic weights. No file is needed.
//
//   launch_times [--precision fp16|bf16|fp32] [--height H] [--width W] [--repeats N]
//
// Where the frame launches a kernel, a graph of N such launches runs, between two events of the device, five times
// over. The kernel's time is the median of the five, over N. So it has the gap between two launches of a graph in it,
// without programmatic launches, and finds in L2 what the launch before it left there. The values of the frame are
// wrong, as a product that adds to its result adds 5 N times. No time depends on them. Prints one JSON object; equal
// launches are one entry.

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "bench/json.h"
#include "bench/options.h"
#include "bench/stream.h"
#include "cuda/cuda_ops.h"
#include "cuda/driver.h"

using namespace flow;

namespace {

constexpr std::size_t turns = 5;

/// The launches of a frame that are equal in their kernel and their blocks.
struct Launches {
  std::string kernel;
  std::array<unsigned, 3> grid;
  int times = 0;
  double microseconds = 0;  // of all
};

/// Stands in front of the driver's functions while one frame is measured.
class Stopwatch {
 public:
  explicit Stopwatch(int repeats) : repeats_(repeats) {
    current_ = this;
    real_ = cuda::driver();
    // The engine has no hook of its own for this: what it calls is its table of the driver's functions.
    auto& table = const_cast<cuda::Driver&>(cuda::driver());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    table.cuModuleGetFunction = find;
    table.cuLaunchKernel = launch;
    table.cuLaunchKernelEx = nullptr;  // launches that begin before others are done would hide in each other
  }

  void start() { measures_ = true; }
  const std::vector<Launches>& stop() {
    measures_ = false;
    return launches_;
  }

 private:
  static cuda::CUresult find(cuda::CUfunction* function, cuda::CUmodule module, const char* name) {
    const cuda::CUresult result = current_->real_.cuModuleGetFunction(function, module, name);
    if (result == cuda::CUDA_SUCCESS) current_->names_[*function] = name;
    return result;
  }
  static cuda::CUresult launch(cuda::CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                               unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                               cuda::CUstream stream, void** parameters, void** extra) {
    const auto queue = [&] {
      return current_->real_.cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes,
                                            stream, parameters, extra);
    };
    return current_->measures_ ? current_->time(function, {grid_x, grid_y, grid_z}, stream, queue) : queue();
  }

  template <class Queue>
  cuda::CUresult time(cuda::CUfunction function, std::array<unsigned, 3> grid, cuda::CUstream stream,
                      const Queue& queue) {
    cuda::CUgraphExec graph = nullptr;
    if (const cuda::CUresult result = record(stream, queue, graph); result != cuda::CUDA_SUCCESS) return result;
    std::array<float, turns> milliseconds{};
    cuda::CUevent begin = nullptr, end = nullptr;
    check(real_.cuEventCreate(&begin, cuda::CU_EVENT_DEFAULT), "cuEventCreate");
    check(real_.cuEventCreate(&end, cuda::CU_EVENT_DEFAULT), "cuEventCreate");
    for (float& turn : milliseconds) {
      check(real_.cuEventRecord(begin, stream), "cuEventRecord");
      check(real_.cuGraphLaunch(graph, stream), "cuGraphLaunch");
      check(real_.cuEventRecord(end, stream), "cuEventRecord");
      check(real_.cuEventSynchronize(end), "cuEventSynchronize");
      check(real_.cuEventElapsedTime(&turn, begin, end), "cuEventElapsedTime");
    }
    check(real_.cuEventDestroy(begin), "cuEventDestroy");
    check(real_.cuEventDestroy(end), "cuEventDestroy");
    check(real_.cuGraphExecDestroy(graph), "cuGraphExecDestroy");
    std::ranges::sort(milliseconds);
    add(names_.at(function), grid, 1e3 * milliseconds[turns / 2] / repeats_);
    return cuda::CUDA_SUCCESS;
  }
  /// A graph of `repeats_` times what `queue` queues. The host would be slower than short kernels.
  template <class Queue>
  cuda::CUresult record(cuda::CUstream stream, const Queue& queue, cuda::CUgraphExec& executable) {
    cuda::CUgraph graph = nullptr;
    check(real_.cuStreamBeginCapture(stream, cuda::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
    cuda::CUresult queued = cuda::CUDA_SUCCESS;
    for (int i = 0; i < repeats_ && queued == cuda::CUDA_SUCCESS; i++) queued = queue();
    const cuda::CUresult ended = real_.cuStreamEndCapture(stream, &graph);
    if (queued != cuda::CUDA_SUCCESS) return queued;
    check(ended, "cuStreamEndCapture");
    check(real_.cuGraphInstantiate(&executable, graph, 0), "cuGraphInstantiateWithFlags");
    check(real_.cuGraphDestroy(graph), "cuGraphDestroy");
    return cuda::CUDA_SUCCESS;
  }
  void add(const std::string& kernel, std::array<unsigned, 3> grid, double microseconds) {
    auto found = std::ranges::find_if(
        launches_, [&](const Launches& other) { return other.kernel == kernel && other.grid == grid; });
    if (found == launches_.end()) found = launches_.insert(found, {kernel, grid});
    found->times++;
    found->microseconds += microseconds;
  }

  static inline Stopwatch* current_ = nullptr;
  cuda::Driver real_;
  int repeats_;
  bool measures_ = false;
  std::map<cuda::CUfunction, std::string> names_;
  std::vector<Launches> launches_;
};

std::string to_json(const Launches& launches) {
  const auto& [x, y, z] = launches.grid;
  return json::Object()
      .text("kernel", launches.kernel)
      .raw("grid", json::array(std::array{std::to_string(x), std::to_string(y), std::to_string(z)}))
      .number("times", launches.times)
      .number("us", launches.microseconds / launches.times)
      .str();
}

}  // namespace

int main(int argc, char** argv) try {
  bench::Options options("launch_times [--precision fp16|bf16|fp32] [--height H] [--width W] [--repeats N]");
  std::string precision = "fp16";
  bench::Size size;
  int repeats = 20;
  options.text("--precision", precision).number("--height", size.height).number("--width", size.width);
  if (!options.number("--repeats", repeats).parse(argc, argv).empty()) options.fail();

  const bench::NamedEngine named("cuda", options);
  Stopwatch stopwatch(repeats);
  const Precision number = named.precisions(precision, options).front();
  OpenEngine open = named.open(number);
  const EngineInfo info = open.engine->describe();
  Network network = bench::load(bench::seed, std::move(open.ops));
  bench::Stream stream(network, bench::seed, size);
  stream.encode();
  stopwatch.start();
  stream.advance();  // the first frame of its kind runs without a graph

  std::vector<std::string> launches;
  for (const Launches& entry : stopwatch.stop()) launches.push_back(to_json(entry));
  std::printf("%s\n", json::Object()
                          .text("device", info.gpu->name)
                          .text("capability", info.gpu->compute_capability)
                          .number("multiprocessors", info.gpu->multiprocessors)
                          .text("precision", name_of(number))
                          .number("height", size.height)
                          .number("width", size.width)
                          .number("repeats", repeats)
                          .raw("launches", json::array(launches))
                          .str()
                          .c_str());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

// The order between the engine's stream and those of other modules of the process. A producer writes frames on its
// stream, the network finds their flow, and a consumer reads it on another stream. Each module queues its work and
// waits for nothing. There is one buffer for frames and one for flow, so every frame needs four orders: the frame is
// there before it is read, and read before it is written again; the flow is there before it is read, and read before it
// is written again. Within the engine, the mask is computed beside the flow. The emulated driver runs the streams, and
// the branches of a graph, in random orders. A GPU has its own.

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "cuda/copy.h"
#include "cuda/cuda_engine.h"
#include "cuda/cuda_ops.h"
#include "cuda/memory.h"
#include "cuda_for_tests.h"
#include "model/network.h"
#include "moving_pictures.h"
#include "synthetic_weights.h"

using namespace flow;
using namespace flow::cuda;

namespace {

constexpr BackboneConfig backbone{64, 1, 1, BackboneConfig::Ffn::mlp, 64, 16, 4};
constexpr HeadConfig head{24, 1, 32, 0, 16, 0};
constexpr Grid grid{1, 2};
constexpr int height = 16, width = 32;
constexpr std::size_t frame_bytes = std::size_t{3} * height * width, flow_values = std::size_t{2} * height * width;
constexpr int pictures = 5;

/// The orders in which the emulated GPU does the work of its streams, and the frames in each of them.
#ifdef FLOW_EMULATOR
const std::vector<std::string> orders{"late", "1", "2", "3", "4", "5", "6", "7"};
constexpr int frames = 125;
#else
const std::vector<std::string> orders{"the GPU's"};
constexpr int frames = 1000;
#endif

using Values = std::vector<float>;

/// Gives a variable of the environment another value during its own lifetime.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

CUstream handle_of(std::uint64_t stream) { return reinterpret_cast<CUstream>(static_cast<std::uintptr_t>(stream)); }

/// The calls of Ops that order its work with a stream of others.
struct Calls {
  bool wait_for = true, let_wait = true;
};

/// Leaves some of the orders out.
class Ordered : public CudaOps {
 public:
  Ordered(const ContextPtr& context, Precision precision, std::map<const OtherStream*, Calls>& calls)
      : CudaOps(context, precision), calls_(calls) {}

  bool joins = true;

  void join() override {
    if (joins) CudaOps::join();
  }

  void wait_for(const OtherStream& stream) override {
    if (calls_[&stream].wait_for) CudaOps::wait_for(stream);
  }
  void let_wait(const OtherStream& stream) override {
    if (calls_[&stream].let_wait) CudaOps::let_wait(stream);
  }

 private:
  std::map<const OtherStream*, Calls>& calls_;
};

/// The flow of a pair of pictures, several times: the network records its launches, and replays them.
class Pair {
 public:
  explicit Pair(bool joins) {
    auto ops = std::make_unique<Ordered>(Context::of(0), Precision::fp32, none_);
    ops->joins = joins;
    SyntheticWeights backbone_weights = SyntheticWeights::backbone(backbone);
    SyntheticWeights head_weights = SyntheticWeights::head(head, backbone.dim);
    network_.emplace(std::move(ops), backbone, head, backbone_weights, head_weights);
  }

  std::vector<std::vector<float>> flows() {
    std::vector<std::vector<float>> all;
    for (int i = 0; i < 4; i++) {
      std::vector<float> flow(flow_values);
      network_->run({.from = frame_of(a_.pixels.data(), width, height),
                     .to = frame_of(b_.pixels.data(), width, height),
                     .grid = grid,
                     .height = height,
                     .width = width,
                     .flow = flow});
      all.push_back(std::move(flow));
    }
    return all;
  }

 private:
  Picture a_ = noise(height, width, 1), b_ = noise(height, width, 2);
  std::map<const OtherStream*, Calls> none_;
  std::optional<Network> network_;
};

/// The network, and memory and streams of two other modules.
class Modules {
 public:
  Modules() {
    for (int i = 0; i < pictures; i++) {
      const Picture picture = noise(height, width, static_cast<unsigned>(i + 1));
      std::memcpy(source(i), picture.pixels.data(), frame_bytes);
    }
    SyntheticWeights backbone_weights = SyntheticWeights::backbone(backbone);
    SyntheticWeights head_weights = SyntheticWeights::head(head, backbone.dim);
    network_.emplace(std::make_unique<Ordered>(context_, Precision::fp32, calls_), backbone, head, backbone_weights,
                     head_weights);
    frame_memory_ = engine_.adopt({reinterpret_cast<const std::byte*>(frame_->data()), frame_bytes});
    flow_memory_ = engine_.adopt({reinterpret_cast<const std::byte*>(flow_->data()), flow_values * sizeof(float)});
  }

  /// The flow from one picture to another, from and to memory of the host.
  const Values& expected(int from, int to) {
    static std::map<std::pair<int, int>, Values> known;  // of all modules: their weights are the same
    Values& flow = known[{from, to}];
    if (!flow.empty()) return flow;
    flow.resize(flow_values);
    network_->run({.from = frame_of(source(from), width, height),
                   .to = frame_of(source(to), width, height),
                   .grid = grid,
                   .height = height,
                   .width = width,
                   .flow = flow});
    return flow;
  }

  /// Runs a video through the three modules. Returns how many flows are wrong.
  int run(Calls with_producer = {}, Calls with_consumer = {}) {
    const std::vector<int> video = made_video();
    for (int i = 1; i < frames; i++) expected(video[i - 1], video[i]);
    calls_.clear();
    results_ = std::make_unique<PinnedMemory>(context_, frames * flow_values * sizeof(float));
    const Context::Scope scope(*context_);
    produce(video[0]);
    FeatureId last = 0;
    for (int i = 0; i < frames; i++) {
      const OtherStreamPtr from_producer = engine_.mark(producer_stream());
      const OtherStreamPtr from_consumer = engine_.mark(consumer_stream());
      calls_ = {{from_producer.get(), with_producer}, {from_consumer.get(), with_consumer}};
      Request request{.to = frame_of(static_cast<const std::uint8_t*>(frame_->data()), width, height),
                      .grid = grid,
                      .keep_to = ++ids_,
                      .streams = {from_producer, from_consumer}};
      if (last == 0) {
        std::swap(request.from, request.to);
        std::swap(request.keep_from, request.keep_to);
      } else {
        request.from = last;
        request.height = height, request.width = width;
        request.flow = {static_cast<float*>(flow_->data()), flow_values};
      }
      network_->run(request, [&] {  // the network has queued its work, and does not wait yet
        if (i + 1 < frames) produce(video[i + 1]);
        if (i > 0) consume(i);
        return false;
      });
      network_->release(std::exchange(last, ids_));
    }
    cuda::check(driver().cuStreamSynchronize(handle_of(producer_stream())), "cuStreamSynchronize");
    cuda::check(driver().cuStreamSynchronize(handle_of(consumer_stream())), "cuStreamSynchronize");
    int wrong = 0;
    for (int i = 1; i < frames; i++) {
      wrong += std::ranges::equal(expected(video[i - 1], video[i]), std::span(result(i), flow_values)) ? 0 : 1;
    }
    network_->release(last);
    return wrong;
  }

  std::uint64_t producer_stream() const { return reinterpret_cast<std::uintptr_t>(producer_.get()); }
  std::uint64_t consumer_stream() const { return reinterpret_cast<std::uintptr_t>(consumer_.get()); }
  const CudaEngine& engine() const { return engine_; }
  const Stream& producer() const { return producer_; }

 private:
  /// No picture twice in a row.
  static std::vector<int> made_video() {
    std::minstd_rand generator(3);
    std::vector<int> video{0};
    while (video.size() < frames) {
      video.push_back((video.back() + 1 + static_cast<int>(generator() % (pictures - 1))) % pictures);
    }
    return video;
  }

  std::uint8_t* source(int picture) const {
    return static_cast<std::uint8_t*>(sources_.data()) + picture * frame_bytes;
  }
  float* result(int frame) const { return static_cast<float*>(results_->data()) + frame * flow_values; }

  void produce(int picture) const { copy_to_device(source(picture), frame_bytes, frame_->data(), producer_); }
  void consume(int frame) const { copy_to_host(flow_->data(), flow_values * sizeof(float), result(frame), consumer_); }

  ContextPtr context_ = Context::of(0);
  CudaEngine engine_{0, Precision::fp32};
  Stream producer_{context_}, consumer_{context_};
  PinnedMemory sources_{context_, pictures* frame_bytes};
  std::unique_ptr<PinnedMemory> results_;
  std::unique_ptr<DeviceMemory> frame_ = std::make_unique<DeviceMemory>(frame_bytes, producer_);
  std::unique_ptr<DeviceMemory> flow_ = std::make_unique<DeviceMemory>(flow_values * sizeof(float), producer_);
  MemoryPtr frame_memory_, flow_memory_;
  std::map<const OtherStream*, Calls> calls_;
  std::optional<Network> network_;
  FeatureId ids_ = 0;
};

const check::Register right("two modules that wait for nothing get the right flow of every frame, in any order", [] {
  need_cuda();
  for (const std::string& order : orders) {
    Modules modules;
    const Variable streams("EMULATOR_STREAMS", order);
    const int wrong = modules.run();
    check::that(wrong == 0, wrong, " of ", frames, " flows are wrong in the order ", order);
  }
});

const check::Register branch("the flow of a pair is the same in any order of the head's branches", [] {
  need_cuda();
  const auto expected = Pair(true).flows();
  for (const auto& flow : expected) check::that(flow == expected.front(), "a replay finds another flow");
  for (const std::string& order : orders) {
    Pair pair(true);
    const Variable streams("EMULATOR_STREAMS", order);
    check::that(pair.flows() == expected, "another flow in the order ", order);
  }
});

#ifdef FLOW_EMULATOR
const check::Register joined("flow is wrong, or refused, unless the head waits for its branch", [] {
  need_cuda();
  const auto expected = Pair(true).flows();
  Pair pair(false);
  const Variable streams("EMULATOR_STREAMS", "late");
  try {
    check::that(pair.flows() != expected, "it is right");
  } catch (const Error& error) {
    check::that(std::string(error.what()).find("unjoined") != std::string::npos, error.what());
  }
});

/// Without one of the four orders some flow is wrong, so the test above would notice.
struct Needs : check::Register {
  Needs(const char* order_left_out, Calls with_producer, Calls with_consumer)
      : Register(std::string("flow is wrong unless ") + order_left_out, [=] {
          need_cuda();
          int wrong = 0;
          for (const std::string& order : orders) {
            Modules modules;
            const Variable streams("EMULATOR_STREAMS", order);
            wrong += modules.run(with_producer, with_consumer);
            if (wrong > 0) return;
          }
          check::fail("it is right");
        }) {}
};
const Needs frame_there("the network waits for the producer", {.wait_for = false}, {});
const Needs frame_read("the producer waits for the network", {.let_wait = false}, {});
const Needs flow_there("the consumer waits for the network", {}, {.let_wait = false});
const Needs flow_read("the network waits for the consumer", {}, {.wait_for = false});
#endif

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }

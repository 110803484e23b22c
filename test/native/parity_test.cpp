// The whole network against the oracle, stage by stage: on the CPU, and on a GPU, or its emulation, in every precision.
//
//   parity_test [FILTER]... [--figures]    prints the figure nearest to its bar of every test; --figures: all
//
// test/fixtures/tiny/frame*.rgb are the pixels of frame*.png, 160 x 112 x 3 bytes, written by
//
//   node -e "for (const n of [1, 2]) require('sharp')('frame' + n + '.png').removeAlpha().raw().toBuffer()
//     .then((pixels) => require('fs').writeFileSync('frame' + n + '.rgb', pixels))"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

#include "check.h"
#include "cpu/cpu_engine.h"
#include "cuda/cuda_engine.h"
#include "cuda/precision.h"
#include "cuda_for_tests.h"
#include "made_frames.h"
#include "network_calls.h"
#include "safetensors.h"
#include "synthetic_weights.h"

using namespace flow;

namespace {

using Values = std::vector<float>;

constexpr BackboneConfig tiny_backbone{64, 2, 2, BackboneConfig::Ffn::swiglu, 128, 16, 4};
constexpr HeadConfig tiny_head{32, 4, 48, 2, 16, 1};
constexpr BackboneConfig mlp_backbone{96, 3, 3, BackboneConfig::Ffn::mlp, 256, 16, 4};
constexpr HeadConfig unrefined_head{24, 3, 40, 1, 16, 0};

constexpr Grid grid{7, 10};
constexpr int patch = 16, height = grid.height * patch, width = grid.width * patch;

std::string fixture(const std::string& name) { return std::string(FLOW_FIXTURES "/tiny/") + name; }

Tensors golden(const std::string& name) { return read_safetensors(fixture(name + ".safetensors")); }

struct Image {
  std::vector<char> pixels;
  explicit Image(const std::string& name) {
    std::ifstream file(fixture(name), std::ios::binary);
    pixels.assign(std::istreambuf_iterator<char>(file), {});
    check::that(pixels.size() == std::size_t{3} * height * width, name, " is missing, or of another size");
  }
  Frame frame() const {
    const auto* data = reinterpret_cast<const std::uint8_t*>(pixels.data());
    return frame_of(data, width, height);
  }
};

struct Frames {
  Image a{"frame1.rgb"}, b{"frame2.rgb"};
};

/// The error bars of an engine against the oracle. The seed's bar for float16 is against the CPU engine, which is
/// itself held to 1e-3 px of the oracle.
struct Bars {
  double taps;      // relative L2 of every intermediate result
  double features;  // relative L2 of the output of the backbone
  double worst;     // px, in any component of the flow
  double mean;      // px, of all components of the flow
};

struct TestedEngine {
  std::string name;
  std::function<std::unique_ptr<Ops>()> make;
  Bars bars;
};

std::vector<TestedEngine> engines() {
  constexpr Bars exact{1e-5, 1e-5, 1e-3, 1e-4};
  std::vector<TestedEngine> all{{"cpu", [] { return cpu::CpuEngine().open(); }, exact}};
  if (!cuda_is_here()) {
    all.push_back({"cuda",
                   []() -> std::unique_ptr<Ops> {
                     need_cuda();
                     check::fail("a GPU came late");
                   },
                   exact});
    return all;
  }
  const auto add = [&](Precision precision, Bars bars) {
    all.push_back({std::string("cuda ") + cuda::suffix_of(precision),
                   [=] { return cuda::CudaEngine(0, precision).open(); }, bars});
  };
  add(Precision::fp32, exact);
  add(Precision::fp16, {3e-3, 1.5e-3, .1, .01});
  const Bars coarse{2.5e-2, 1e-2, .5, .06};
  if (cuda::kernels_have(Precision::bf16, kernels_capability())) {
    add(Precision::bf16, coarse);
  } else {
    const auto skip = []() -> std::unique_ptr<Ops> { check::skip("this GPU has no bfloat16"); };
    all.push_back({"cuda bf16", skip, coarse});
  }
  return all;
}

Network tiny_network(const TestedEngine& engine) {
  TensorWeights backbone(golden("backbone")), head(golden("head"));
  return {engine.make(), tiny_backbone, tiny_head, backbone, head};
}

// ---- comparison -----------------------------------------------------------------------------------------------------

double relative_l2(const Values& actual, const Values& expected) {
  return check::relative_l2(actual, {expected.begin(), expected.end()});
}

/// The largest and the mean difference of two lists of values; NaN if a difference is NaN.
struct Difference {
  double worst = 0, mean = 0;
  Difference(const Values& actual, const Values& expected) {
    check::that(actual.size() == expected.size(), "sizes differ: ", actual.size(), " and ", expected.size());
    for (std::size_t i = 0; i < actual.size(); i++) {
      const double difference = std::abs(static_cast<double>(actual[i]) - expected[i]);
      if (difference > worst || std::isnan(difference)) worst = difference;
      mean += difference / static_cast<double>(actual.size());
    }
  }
};

bool all_figures = false;

/// The figures of one test, each with its bar. A figure above its bar fails the test. The figure nearest to its bar is
/// printed, or all.
class Figures {
 public:
  explicit Figures(std::string title) : title_(std::move(title)) {}

  void add(const std::string& what, double value, double bar) {
    std::ostringstream text;
    text << what << ' ' << value << " (bar " << bar << ')';
    const double share = value / bar;
    if (all_figures) all_ += "\n  " + text.str();
    if (!(share <= 1)) missed_ += (missed_.empty() ? "" : "; ") + text.str();  // also true for NaN
    if (share > largest_share_ || std::isnan(share)) {
      largest_share_ = share;
      nearest_ = text.str();
    }
  }
  void done() const {
    std::printf("%s: %s\n", title_.c_str(), all_figures ? all_.c_str() : nearest_.c_str());
    check::that(missed_.empty(), missed_);
  }

 private:
  std::string title_, all_, nearest_, missed_;
  double largest_share_ = -1;
};

/// Transposes tokens x channels to channels x tokens, the layout of the oracle.
Values transposed(const Values& values, int rows, int cols) {
  Values result(values.size());
  for (int r = 0; r < rows; r++) {
    for (int c = 0; c < cols; c++) {
      result[static_cast<std::size_t>(c) * rows + r] = values[static_cast<std::size_t>(r) * cols + c];
    }
  }
  return result;
}

/// Rows of patches, each (channel, y, x), to a planar image.
Values image_of_patches(const Trace::Entry& patches) {
  Values image(patches.values.size());
  for (std::size_t i = 0; i < image.size(); i++) {
    const std::size_t row = i / patches.cols, rest = i % patches.cols;
    const std::size_t channel = rest / (patch * patch), y = rest / patch % patch, x = rest % patch;
    const std::size_t line = row / grid.width * patch + y;
    image[(channel * height + line) * width + row % grid.width * patch + x] = patches.values[i];
  }
  return image;
}

/// The mask logits, which mask_upsample does not return, computed from its input.
Values mask_of(const Trace::Entry& hidden, const Tensors& head) {
  const Values& weight = find(head, "convex_upsampler.mask_head.2.weight").values;
  const Values& bias = find(head, "convex_upsampler.mask_head.2.bias").values;
  Values mask(bias.size() * hidden.rows);
  for (std::size_t channel = 0; channel < bias.size(); channel++) {
    for (int pixel = 0; pixel < hidden.rows; pixel++) {
      double sum = bias[channel];
      for (int i = 0; i < hidden.cols; i++) {
        sum += static_cast<double>(weight[channel * hidden.cols + i]) * hidden.values[pixel * hidden.cols + i];
      }
      mask[channel * hidden.rows + pixel] = static_cast<float>(sum);
    }
  }
  return mask;
}

// ---- tests ----------------------------------------------------------------------------------------------------------

/// The intermediate results of a traced frame, in the oracle's names and layouts.
std::map<std::string, Values> taps_of(const Trace& trace) {
  std::map<std::string, const Trace::Entry*> entries;
  for (const Trace::Entry& entry : trace.entries()) entries[entry.name] = &entry;
  const auto map_of = [](const Trace::Entry& e) { return transposed(e.values, e.rows, e.cols); };

  std::map<std::string, Values> taps;
  for (const std::string frame : {"frame1.", "frame2."}) {
    taps[frame + "input"] = image_of_patches(*entries.at(frame + "input"));
    for (const char* tokens : {"patch_tokens", "block0", "block1"}) {
      taps[frame + tokens] = entries.at(frame + tokens)->values;
    }
    taps[frame + "features"] = map_of(*entries.at(frame + "features"));
  }
  for (const std::string map :
       {"head.proj1", "head.proj2", "head.fuse_in", "head.fuse_trunk", "head.coarse_flow", "head.refined_flow"}) {
    taps[map] = map_of(*entries.at(map));
  }
  const Values fused = map_of(*entries.at("head.fused"));  // its last channels are the correlation
  taps["head.correlation"] = Values(fused.end() - std::ptrdiff_t{tiny_head.window()} * grid.size(), fused.end());

  taps["head.mask"] = mask_of(*entries.at("head.mask_hidden"), golden("head"));
  taps["head.flow_up"] = entries.at("head.flow_up")->values;
  return taps;
}

void every_stage(const TestedEngine& engine) {
  Network network = tiny_network(engine);
  const Frames frames;
  const Tensors expected = golden("activations");
  Values flow(std::size_t{2} * height * width);
  Trace trace;
  NetworkCalls(network).flow(frames.a.frame(), frames.b.frame(), grid, flow, height, width, &trace);

  auto taps = taps_of(trace);
  taps["head.flow"] = flow;
  Figures figures(engine.name + ", every stage, relative L2");
  for (const auto& [name, tensor] : expected) {
    check::that(taps.contains(name), name, " is not traced");
    figures.add(name, relative_l2(taps.at(name), tensor.values), engine.bars.taps);
  }
  figures.done();
}

void the_flow(const TestedEngine& engine) {
  Network network = tiny_network(engine);
  const Frames frames;
  Figures figures(engine.name + ", flow, px");
  const auto compare = [&](const std::string& name, const Tensor& expected) {
    const int rows = expected.shape.at(2), cols = expected.shape.at(3);
    Values flow(expected.values.size());
    NetworkCalls(network).flow(frames.a.frame(), frames.b.frame(), grid, flow, rows, cols);
    const Difference difference(flow, expected.values);
    figures.add(name + " worst", difference.worst, engine.bars.worst);
    figures.add(name + " mean", difference.mean, engine.bars.mean);
  };
  compare("112 x 160", find(golden("activations"), "head.flow"));
  compare("150 x 203", find(golden("flow_150x203"), "flow"));
  figures.done();
}

void other_configuration(const TestedEngine& engine) {
  SyntheticWeights backbone = SyntheticWeights::backbone(mlp_backbone);
  SyntheticWeights head = SyntheticWeights::head(unrefined_head, mlp_backbone.dim);
  Network network(engine.make(), mlp_backbone, unrefined_head, backbone, head);
  const Frames frames;
  const Tensors expected = golden("mlp_r3_norefine");
  Figures figures(engine.name + ", MLP, radius 3, no refinement");

  NetworkCalls calls(network);
  const FeatureId a = calls.encode(frames.a.frame(), grid), b = calls.encode(frames.b.frame(), grid);
  for (const auto& [features, name] : {std::pair{a, "features1"}, {b, "features2"}}) {
    const Values values = calls.features(features, grid, mlp_backbone.dim);
    figures.add(name, relative_l2(transposed(values, grid.size(), mlp_backbone.dim), find(expected, name).values),
                engine.bars.features);
  }
  Values flow(std::size_t{2} * height * width);
  calls.flow(a, b, {}, flow, height, width);
  const Difference difference(flow, find(expected, "flow").values);
  figures.add("flow, px, worst", difference.worst, engine.bars.worst);
  figures.add("flow, px, mean", difference.mean, engine.bars.mean);
  figures.done();
}

/// The normalised input of the first of two frames, each resized to a map of 3 x 5 patches.
Values input_of(Network& network, const Frame& frame) {
  constexpr Grid small{3, 5};
  Values flow(std::size_t{2} * small.size() * patch * patch);
  Trace trace;
  NetworkCalls(network).flow(frame, frame, small, flow, small.height * patch, small.width * patch, &trace);
  return trace.entries().front().values;
}

void frame_formats(const TestedEngine& engine) {
  const TestedEngine cpu = engines().front();
  Network network = tiny_network(engine), reference = tiny_network(cpu);
  Figures figures(engine.name + ", resized frames against the CPU engine's, relative L2");
  std::mt19937 generator(5);
  for (const auto& [name, format] : made_formats()) {
    const MadeFrame made(63, 39, format, [&] { return static_cast<std::uint8_t>(generator()); });
    const Frame frame = made.frame();
    figures.add(name, relative_l2(input_of(network, frame), input_of(reference, frame)), engine.bars.taps);
  }
  figures.done();
}

/// The first frame of a sequence runs launch by launch, the second is recorded, the others are replayed.
void replays(const TestedEngine& engine) {
  Network network = tiny_network(engine);
  const Frames frames;
  NetworkCalls calls(network);
  Values first(std::size_t{2} * height * width), again(first.size());
  calls.flow(frames.a.frame(), frames.b.frame(), grid, first, height, width);
  for (int round = 0; round < 4; round++) {
    calls.flow(frames.a.frame(), frames.b.frame(), grid, again, height, width);
    check::that(again == first, "from frames, round ", round);
    const FeatureId a = calls.encode(frames.a.frame(), grid), b = calls.encode(frames.b.frame(), grid);
    calls.flow(a, b, {}, again, height, width);
    check::that(again == first, "from features, round ", round);
    calls.flow(b, a, {}, again, height, width);
    check::that(again != first, "backward flow is forward flow");
    network.release(b);
    const FeatureId next = calls.advance(a, frames.b.frame(), grid, again, height, width);
    check::that(again == first, "to the next frame, round ", round);
    network.release(next);
  }
}

/// The flow of a pair of frames and its backward flow, one request at a time.
struct BothWays {
  Values forward, backward;
  BothWays(NetworkCalls& calls, const Frames& frames)
      : forward(std::size_t{2} * height * width), backward(forward.size()) {
    calls.flow(frames.a.frame(), frames.b.frame(), grid, forward, height, width);
    calls.flow(frames.b.frame(), frames.a.frame(), grid, backward, height, width);
  }
};

/// The frames of the next request are copied to the device while a request runs, if the engine copies frames.
void staged_ahead(const TestedEngine& engine) {
  Network network = tiny_network(engine);
  NetworkCalls calls(network);
  const Frames frames;
  const BothWays expected(calls, frames);
  Values first(expected.forward.size()), second(first.size());
  std::uint64_t number = 0;
  int staged = 0;
  const auto request = [&](const Image& from, const Image& to, Values& flow) {
    return Request{.from = from.frame(),
                   .to = to.frame(),
                   .grid = grid,
                   .number = ++number,
                   .height = height,
                   .width = width,
                   .flow = flow};
  };
  const auto stage = [&](const Request& next) {
    return [&, next, is_staged = false]() mutable {
      if (!std::exchange(is_staged, true)) {
        network.stage_ahead(next);
        staged++;
      }
      return false;
    };
  };
  for (int round = 0; round < 4; round++) {
    const Request one = request(frames.a, frames.b, first), two = request(frames.b, frames.a, second);
    network.run(one, stage(two));
    network.run(two);
    check::that(first == expected.forward && second == expected.backward, "round ", round);
    // The request whose frames were staged ahead never runs.
    const Request three = request(frames.a, frames.b, second);
    network.run(one, stage(two));
    network.run(three);
    check::that(second == expected.forward, "a cancelled request, round ", round);
  }
  const bool copies = engine.name != "cpu";
  check::that(staged == (copies ? 8 : 0), staged, " frames were staged ahead");
}

/// The results of a request are sent to the host while the next one is computed, if the engine sends results.
void sent_apart(const TestedEngine& engine) {
  Network network = tiny_network(engine);
  NetworkCalls calls(network);
  const Frames frames;
  const BothWays expected(calls, frames);
  Values first(expected.forward.size()), second(first.size());
  const auto request = [&](const Image& from, const Image& to, Values& flow) {
    return Request{
        .from = from.frame(), .to = to.frame(), .grid = grid, .height = height, .width = width, .flow = flow};
  };
  const bool may_send = engine.name != "cpu";
  const auto others_wait = [] { return true; };
  for (int round = 0; round < 4; round++) {
    std::ranges::fill(first, 0.F);
    std::ranges::fill(second, 0.F);
    const Outcome one = network.run(request(frames.a, frames.b, first), others_wait);
    check::that(one.sending == may_send, "the first is sent, round ", round);
    const Outcome two = network.run(request(frames.b, frames.a, second), [&] {
      network.deliver();
      check::that(first == expected.forward, "what is delivered while the next is computed, round ", round);
      return true;
    });
    check::that(two.sending == may_send, "the second is sent, round ", round);
    network.deliver();
    check::that(first == expected.forward && second == expected.backward, "round ", round);
    network.deliver();  // does nothing
    // A request that fails does not take the results before it along.
    std::ranges::fill(first, 0.F);
    network.run(request(frames.a, frames.b, first), others_wait);
    bool failed = false;
    try {
      calls.flow(FeatureId{12345}, frames.b.frame(), grid, second, height, width);
    } catch (const Error& error) {
      failed = error.code() == ErrorCode::disposed;
    }
    check::that(failed, "features of no name are found");
    network.deliver();
    check::that(first == expected.forward, "beside a request that fails, round ", round);
  }
}

void same_as_file(const SyntheticWeights& made, const std::string& name) {
  const Tensors stored = golden(name);
  SyntheticWeights weights = made;
  check::that(weights.shapes().size() == stored.size(), weights.shapes().size(), " tensors instead of ", stored.size());
  for (const auto& [tensor, expected] : stored) {
    check::that(weights.has(tensor) && weights.shapes().at(tensor) == expected.shape, tensor, ": another shape");
    check::that(weights.read(tensor, expected.values.size()) == expected.values, tensor, ": other values");
  }
}

const check::Register synthetic("synthetic weights are the values of the checkpoints in test/fixtures", [] {
  same_as_file(SyntheticWeights::backbone(tiny_backbone), "backbone");
  same_as_file(SyntheticWeights::head(tiny_head, tiny_backbone.dim), "head");
});

const check::Register hostile("a file whose tensors do not lie inside it is refused", [] {
  for (const char* name : {"offsets_out_of_file", "huge_header", "negative_shape", "truncated"}) {
    try {
      read_safetensors(std::string(FLOW_FIXTURES "/hostile/") + name + ".safetensors");
    } catch (const Error& error) {
      check::that(error.code() == ErrorCode::checkpoint_format, name, ": ", error.what());
      continue;
    }
    check::fail(name, " was read");
  }
});

void register_on(const TestedEngine& engine) {
  const auto add = [&](const char* promise, void (*body)(const TestedEngine&)) {
    check::tests().push_back({std::string(promise) + " [" + engine.name + "]", [=] { body(engine); }});
  };
  add("every stage of the tiny model equals the oracle", every_stage);
  add("the flow of the tiny model equals the oracle's, at the network's size and at another", the_flow);
  add("an MLP backbone, radius 3 and no refinement give the oracle's features and flow", other_configuration);
  add("frames of every format and stride are resized to the CPU engine's pixels", frame_formats);
  add("frames that are staged ahead give the same bits", staged_ahead);
  add("results that are sent while the next request is computed are the same bits", sent_apart);
  add("a frame that is replayed, and one from features, gives the same bits", replays);
}

}  // namespace

int main(int argc, char** argv) {
  all_figures = argc > 1 && std::string_view(argv[argc - 1]) == "--figures";
  if (all_figures) argc--;
  for (const TestedEngine& engine : engines()) register_on(engine);
  return check::run(argc, argv);
}

// Networks whose values are beyond the range of float16, or of float32, on the CPU and on a GPU, or its emulation, in
// every precision. test/fixtures/massive has checkpoints with massive activations and the oracle's features of them;
// training/tests/massive.py made them.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>

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

constexpr BackboneConfig swiglu{64, 2, 2, BackboneConfig::Ffn::swiglu, 128, 16, 4};
constexpr BackboneConfig mlp{96, 3, 3, BackboneConfig::Ffn::mlp, 256, 16, 4};
constexpr HeadConfig small_head{24, 3, 40, 1, 16, 0};
constexpr Grid grid{7, 10};
constexpr int height = 112, width = 160;

/// Synthetic weights, some of which are replaced or multiplied.
class ChangedWeights : public WeightSource {
 public:
  explicit ChangedWeights(SyntheticWeights weights) : weights_(std::move(weights)) {}

  void replace(const std::string& name, Values values) { replaced_.insert_or_assign(name, std::move(values)); }
  /// Multiplies the values from `first` on, at most `count`.
  void multiply(const std::string& name, float factor, std::size_t first = 0, std::size_t count = SIZE_MAX) {
    factors_[name].push_back({first, count, factor});
  }
  /// As multiply, for the weight and the bias of the rows from `first` on.
  void multiply_rows(const std::string& layer, int columns, float factor, int first, int count) {
    multiply(layer + ".weight", factor, static_cast<std::size_t>(first) * columns,
             static_cast<std::size_t>(count) * columns);
    multiply(layer + ".bias", factor, first, count);
  }

  bool has(const std::string& name) const override { return weights_.has(name); }
  int extent(const std::string& name, std::size_t axis) const override { return weights_.extent(name, axis); }
  Values read(const std::string& name, std::size_t count) override {
    const auto replaced = replaced_.find(name);
    Values values = replaced == replaced_.end() ? weights_.read(name, count) : replaced->second;
    for (const Factor& f : factors_[name]) {
      for (std::size_t i = f.first; i < values.size() && i - f.first < f.count; i++) values[i] *= f.factor;
    }
    return values;
  }

 private:
  struct Factor {
    std::size_t first, count;
    float factor;
  };

  SyntheticWeights weights_;
  std::map<std::string, Values> replaced_;
  std::map<std::string, std::vector<Factor>> factors_;
};

Tensors golden(const std::string& name) { return read_safetensors(FLOW_FIXTURES "/" + name + ".safetensors"); }

ChangedWeights massive(const BackboneConfig& config, const Tensors& file) {
  ChangedWeights weights(SyntheticWeights::backbone(config));
  for (const auto& [name, tensor] : file) {
    if (name.starts_with("blocks.")) weights.replace(name, tensor.values);
  }
  return weights;
}

/// The tiny model's frame 1 or 2.
Frame frame(int number) {
  static std::map<int, std::vector<char>> files;
  std::vector<char>& pixels = files[number];
  if (pixels.empty()) {
    std::ifstream file(FLOW_FIXTURES "/tiny/frame" + std::to_string(number) + ".rgb", std::ios::binary);
    pixels.assign(std::istreambuf_iterator<char>(file), {});
    check::that(pixels.size() == std::size_t{3} * height * width, "frame", number, ".rgb is missing");
  }
  return frame_of(reinterpret_cast<const std::uint8_t*>(pixels.data()), width, height);
}

struct TestedEngine {
  std::string name;
  Precision precision;
  std::function<std::unique_ptr<Ops>()> make;

  bool is(Precision p) const { return precision == p; }
};

std::vector<TestedEngine> engines() {
  std::vector<TestedEngine> all{{"cpu", Precision::fp32, [] { return cpu::CpuEngine().open(); }}};
  for (const Precision precision : {Precision::fp32, Precision::fp16, Precision::bf16}) {
    all.push_back({std::string("cuda ") + cuda::suffix_of(precision), precision, [=] {
                     need_cuda();
                     if (!cuda::kernels_have(precision, kernels_capability())) {
                       check::skip("this GPU has no bfloat16");
                     }
                     return cuda::CudaEngine(0, precision).open();
                   }});
  }
  return all;
}

/// A network whose head is of no account.
class Model {
 public:
  Model(std::unique_ptr<Ops> ops, const BackboneConfig& config, ChangedWeights backbone)
      : Model(std::move(ops), config, std::move(backbone),
              ChangedWeights(SyntheticWeights::head(small_head, config.dim))) {}
  Model(std::unique_ptr<Ops> ops, const BackboneConfig& config, ChangedWeights backbone, ChangedWeights head)
      : dim_(config.dim), network_(std::move(ops), config, small_head, backbone, head) {}

  /// Patches x dim.
  Values features(int number) {
    NetworkCalls calls(network_);
    Values values(static_cast<std::size_t>(grid.size()) * dim_);
    network_.run({.from = frame(number), .grid = grid, .features = values});
    return values;
  }
  Values flow(int from, int to) {
    Values values(std::size_t{2} * height * width, NAN);
    NetworkCalls(network_).flow(frame(from), frame(to), grid, values, height, width);
    return values;
  }
  Numerics numerics() const { return network_.numerics(); }
  /// "queries of block 1: -4, hidden of block 0: -6"
  std::string scaled() const {
    std::ostringstream text;
    const char* comma = "";
    for (const auto& [block, values, exponent] : numerics().scaled) {
      text << comma << values << " of block " << block << ": " << exponent;
      comma = ", ";
    }
    return text.str();
  }

 private:
  int dim_;
  Network network_;
};

Values tokens_of(const Tensor& map, int dim) {
  Values tokens(map.values.size());
  for (std::size_t i = 0; i < tokens.size(); i++) {
    tokens[i % grid.size() * dim + i / grid.size()] = map.values[i];
  }
  return tokens;
}

/// The least cosine of a patch's features with those expected; NaN if a value is NaN.
double least_cosine(const Values& actual, const Values& expected, int dim) {
  double least = 1;
  for (std::size_t first = 0; first < expected.size(); first += dim) {
    double product = 0, a = 0, b = 0;
    for (std::size_t i = first; i < first + dim; i++) {
      product += static_cast<double>(actual[i]) * expected[i];
      a += static_cast<double>(actual[i]) * actual[i];
      b += static_cast<double>(expected[i]) * expected[i];
    }
    const double cosine = product / std::sqrt(a * b);
    if (!(cosine >= least)) least = cosine;
  }
  return least;
}

/// Holds features to their bar. Returns the figure: relative L2 of float32, else 1 - the least cosine.
double check_features(const TestedEngine& engine, const Values& actual, const Values& expected, int dim,
                      const std::string& what) {
  if (engine.is(Precision::fp32)) {
    check::close(actual, {expected.begin(), expected.end()}, 2e-5, what);
    return check::relative_l2(actual, {expected.begin(), expected.end()});
  }
  const double cosine = least_cosine(actual, expected, dim), bar = engine.is(Precision::fp16) ? .9995 : .999;
  check::that(cosine >= bar, what, ": cosine ", cosine, " below ", bar);
  return 1 - cosine;
}

// ---- massive activations --------------------------------------------------------------------------------------------

void massive_activations(const TestedEngine& engine) {
  double worst = 0;
  for (const auto& [name, config] : {std::pair{"swiglu", swiglu}, {"mlp", mlp}}) {
    for (const std::string hidden : {"5e4", "1e6"}) {
      const std::string file = std::string("massive/") + name + "_" + hidden;
      const Tensors oracle = golden(file);
      Model model(engine.make(), config, massive(config, oracle));
      for (const int number : {1, 2, 1, 2, 1}) {  // the first frame is the one that raises the flag; later ones replay
        const Values expected = tokens_of(find(oracle, "features" + std::to_string(number)), config.dim);
        worst = std::max(worst, check_features(engine, model.features(number), expected, config.dim, file));
      }
      const bool scales = engine.is(Precision::fp16) && hidden == "1e6";
      check::that(model.scaled() == (scales ? "hidden of block 0: -6" : ""), file, ": scales ", model.scaled());
      check::that(model.numerics().precision == name_of(engine.precision), file, ": ", model.numerics().precision);
    }
  }
  std::printf("%s, massive activations, worst %s: %g\n", engine.name.c_str(),
              engine.is(Precision::fp32) ? "relative L2" : "1 - cosine", worst);
}

/// Every operand of a backbone that has a scale of its own is out of range: norms of the first block, the others of the
/// second. Powers of two in its weights see to that, which do not change the function.
void every_operand(const TestedEngine& engine) {
  constexpr int dim = swiglu.dim, hidden = swiglu.hidden;
  constexpr float big = 0x1p16F, small = 0x1p-16F;
  ChangedWeights weights(SyntheticWeights::backbone(swiglu));
  for (const std::string norm : {"norm1", "norm2"}) {
    weights.multiply("blocks.0." + norm + ".weight", big);
    weights.multiply("blocks.0." + norm + ".bias", big);
  }
  for (const std::string layer : {"attn.qkv", "mlp.w1", "mlp.w2"}) {
    weights.multiply("blocks.0." + layer + ".weight", small);
  }
  const std::string block = "blocks.1.";
  weights.multiply_rows(block + "attn.qkv", dim, 2 * big, 0, dim);
  weights.multiply_rows(block + "attn.qkv", dim, small / 2, dim, dim);
  weights.multiply_rows(block + "attn.qkv", dim, big, 2 * dim, dim);
  weights.multiply(block + "attn.proj.weight", small);
  weights.multiply_rows(block + "mlp.w2", dim, big, 0, hidden);
  weights.multiply(block + "mlp.w3.weight", small);

  Model model(engine.make(), swiglu, std::move(weights));
  const Tensors oracle = golden("tiny/activations");
  for (const int number : {1, 2}) {
    const Values expected = tokens_of(find(oracle, "frame" + std::to_string(number) + ".features"), dim);
    check_features(engine, model.features(number), expected, dim, "powers of two");
  }
  if (!engine.is(Precision::fp16)) return check::that(model.scaled().empty(), "scales ", model.scaled());
  for (const char* values : {"queries", "values", "hidden"}) {
    check::that(model.scaled().find(values) != std::string::npos, values, " are not among ", model.scaled());
  }
}

// ---- values that no scale brings back -------------------------------------------------------------------------------

/// A backbone whose hidden values are up to `factor` * 1e6 in frame 2, and in range in frame 1: the channel that only a
/// patch of frame 2 excites is multiplied. Those of other tokens are gone.
ChangedWeights massive_in_frame_2(float factor) {
  constexpr int channel = 77;
  ChangedWeights weights = massive(swiglu, golden("massive/swiglu_1e6"));
  weights.multiply_rows("blocks.0.mlp.w2", swiglu.dim, factor, channel, 1);
  for (const int other : {5, 40}) weights.multiply_rows("blocks.0.mlp.w2", swiglu.dim, 0, other, 1);
  return weights;
}

std::string precision_error(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    check::that(error.code() == ErrorCode::precision, "another error: ", error.what());
    return error.what();
  }
  check::fail("a result without an error");
}

void check_names(const std::string& message, std::initializer_list<const char*> names) {
  for (const char* name : names) check::that(message.find(name) != std::string::npos, name, " is not in: ", message);
}

Values exact_features(const ChangedWeights& weights, int number) {
  return Model(cpu::CpuEngine().open(), swiglu, weights).features(number);
}

/// A residual stream that is beyond float16 in frame 2 alone, and one whose rows have a mean of many deviations.
void norms_apart(const TestedEngine& engine) {
  ChangedWeights massive = massive_in_frame_2(1);
  massive.multiply("blocks.0.mlp.w3.weight", 1000);
  ChangedWeights far(SyntheticWeights::backbone(swiglu));
  far.replace("patch_embed.proj.bias", Values(swiglu.dim, 6.F));
  for (const auto& [what, weights] : {std::pair{"beyond float16", massive}, {"a large mean", far}}) {
    Model model(engine.make(), swiglu, weights);
    for (const int number : {1, 1, 1, 2, 2, 2, 1}) {  // the first ones record frame 1 as it is computed before frame 2
      check_features(engine, model.features(number), exact_features(weights, number), swiglu.dim, what);
    }
    check::that(model.numerics().precision == name_of(engine.precision), what, ": ", model.numerics().precision);
  }
}

void too_far_for_a_scale(const TestedEngine& engine) {
  const ChangedWeights weights = massive_in_frame_2(1e5F);
  Model model(engine.make(), swiglu, weights);
  if (engine.is(Precision::fp16)) {
    for (int round = 0; round < 2; round++) {
      check_names(precision_error([&] { model.features(2); }), {"'fp16'", "'bf16'"});
      check_names(precision_error([&] { model.flow(1, 2); }), {"'fp16'", "'bf16'"});
      check_features(engine, model.features(1), exact_features(weights, 1), swiglu.dim, "after an error");
    }
  } else {
    for (const int number : {1, 2}) {
      check_features(engine, model.features(number), exact_features(weights, number), swiglu.dim, "hidden to 1e11");
    }
  }
}

void not_finite(const TestedEngine& engine) {
  if (engine.is(Precision::fp16)) {  // its weights end before it can compute infinity
    const std::string message =
        precision_error([&] { Model(engine.make(), swiglu, massive_in_frame_2(1e35F)).features(2); });
    return check_names(message, {"'fp16'", "'bf16'"});
  }
  const ChangedWeights infinite = massive_in_frame_2(1e35F);
  Model model(engine.make(), swiglu, infinite);
  const Values before = model.features(1);
  for (int round = 0; round < 2; round++) {
    for (const std::function<void()>& call :
         {std::function<void()>([&] { model.features(2); }), std::function<void()>([&] { model.flow(1, 2); }),
          std::function<void()>([&] { model.flow(2, 1); })}) {
      const std::string message = precision_error(call);
      check_names(message, {name_of(engine.precision)});
    }
    check::that(model.features(1) == before, "another result after an error");
  }

  // The squares of these overflow in the first norm, which would forget them.
  ChangedWeights huge(SyntheticWeights::backbone(swiglu));
  huge.multiply("patch_embed.proj.weight", 1e21F);
  Model overflowing(engine.make(), swiglu, huge);
  precision_error([&] { overflowing.features(1); });
}

void head_out_of_range(const TestedEngine& engine) {
  const auto head = [&](float factor) {
    ChangedWeights weights(SyntheticWeights::head(small_head, swiglu.dim));
    weights.multiply("proj1.weight", factor);
    return weights;
  };
  const ChangedWeights backbone(SyntheticWeights::backbone(swiglu));
  if (engine.is(Precision::fp16)) {
    Model model(engine.make(), swiglu, backbone, head(1e7F));
    check_names(precision_error([&] { model.flow(1, 2); }), {"'fp16'", "'bf16'"});
    model.features(1);  // does not need the head
  } else {
    Model(engine.make(), swiglu, backbone, head(1e7F)).flow(1, 2);
  }
  if (engine.is(Precision::fp16)) return;  // its weights end before
  Model model(engine.make(), swiglu, backbone, head(1e37F));
  precision_error([&] { model.flow(1, 2); });
}

// ---- a precision that the engine may choose -------------------------------------------------------------------------

const check::Register widened("an engine that may choose its precision goes on in bfloat16, with the same frame", [] {
  need_cuda();
  if (kernels_capability() < 80) check::skip("this GPU has no bfloat16");
  const ChangedWeights weights = massive_in_frame_2(1e5F);
  Model model(cuda::CudaEngine(0, Precision::fp16, true).open(), swiglu, weights);
  const TestedEngine half{"cuda f16, then bf16", Precision::fp16, {}}, brain{half.name, Precision::bf16, {}};
  for (int round = 0; round < 3; round++) {
    check_features(half, model.features(1), exact_features(weights, 1), swiglu.dim, "before");
  }
  check::that(model.numerics().precision == "fp16", "the precision is ", model.numerics().precision);
  for (int round = 0; round < 3; round++) {
    for (const int number : {2, 1}) {
      check_features(brain, model.features(number), exact_features(weights, number), swiglu.dim, "after");
    }
  }
  check::that(model.numerics().precision == "bf16", "the precision is ", model.numerics().precision);
});

void register_on(const TestedEngine& engine) {
  const auto add = [&](const char* promise, void (*body)(const TestedEngine&)) {
    check::tests().push_back({std::string(promise) + " [" + engine.name + "]", [=] { body(engine); }});
  };
  add("massive activations give the oracle's features, from the first frame on", massive_activations);
  add("powers of two in the weights of neighbouring matrices do not change the features", every_operand);
  add("rows that no product can normalise give the features of others", norms_apart);
  add("values that no scale brings back are an error that names the precision to take", too_far_for_a_scale);
  add("features or flow that are infinite or NaN are an error", not_finite);
  add("a head that is out of range is an error", head_out_of_range);
}

}  // namespace

int main(int argc, char** argv) {
  for (const TestedEngine& engine : engines()) register_on(engine);
  return check::run(argc, argv);
}

#include "addon/model_options.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "addon/values.h"

namespace flow::addon {

namespace {

constexpr int max_width = 1 << 15;
constexpr int max_patch = 64;

constexpr std::array<Named<Precision>, 3> precisions{
    {{"fp32", Precision::fp32}, {"fp16", Precision::fp16}, {"bf16", Precision::bf16}}};

constexpr std::array<Named<Wait>, 2> waits{{{"spin", Wait::spin}, {"block", Wait::block}}};

constexpr std::array<Named<DType>, 4> dtypes{{{"float64", DType::float64},
                                              {"float32", DType::float32},
                                              {"float16", DType::float16},
                                              {"bfloat16", DType::bfloat16}}};
using RopePeriods = BackboneConfig::RopePeriods;
constexpr std::array<Named<RopePeriods>, 2> rope_periods{
    {{"float32", RopePeriods::as_they_are}, {"bfloat16", RopePeriods::rounded}}};
constexpr std::array<Named<BackboneConfig::Ffn>, 2> ffns{
    {{"swiglu", BackboneConfig::Ffn::swiglu}, {"mlp", BackboneConfig::Ffn::mlp}}};

std::array<double, 3> to_channels(const Napi::Value& value, const char* what, double min) {
  const Napi::Array array = to_array(value, what);
  std::array<double, 3> channels{};
  if (array.Length() != channels.size()) reject(std::string(what) + " must have three numbers");
  for (std::uint32_t c = 0; c < channels.size(); c++) {
    channels[c] = to_length(array[c], what);
    if (!(channels[c] >= min && channels[c] <= 1)) reject(std::string(what) + " is out of range");
  }
  return channels;
}

/// undefined is ImageNet's.
Normalization to_normalization(const Napi::Value& value) {
  if (value.IsUndefined()) return {};
  const Napi::Object object = to_object(value, "normalization");
  return {.mean = to_channels(object.Get("mean"), "mean", 0), .deviation = to_channels(object.Get("std"), "std", 1e-2)};
}

BackboneConfig to_backbone_config(const Napi::Object& options) {
  const Napi::Object object = to_object(options.Get("backbone"), "backbone");
  const auto get = [&](const char* name, int min, int max = max_width) {
    return to_int(object.Get(name), name, min, max);
  };
  const BackboneConfig config{.dim = get("dim", 4),
                              .depth = get("depth", 1),
                              .heads = get("heads", 1),
                              .ffn = find_named(ffns, object.Get("ffn"), "ffn"),
                              .hidden = get("hidden", 1),
                              .patch = get("patch", 1, max_patch),
                              .storage_tokens = get("storageTokens", 0),
                              .rope_periods = find_named(rope_periods, options.Get("ropePeriods"), "ropePeriods"),
                              .normalization = to_normalization(options.Get("normalization"))};
  if (config.dim % config.heads != 0 || config.head_dim() % 4 != 0)
    reject("the backbone's heads do not divide its width");
  return config;
}

HeadConfig to_head_config(const Napi::Value& value) {
  const Napi::Object object = to_object(value, "head");
  const auto get = [&](const char* name, int min, int max) { return to_int(object.Get(name), name, min, max); };
  return {.proj = get("proj", 1, max_width),
          .radius = get("radius", 0, 64),
          .fusion = get("fusion", 1, max_width),
          .layers = get("layers", 0, 1024),
          .up = get("up", 1, max_patch),
          .refine = get("refine", 0, 1024)};
}

WeightPart to_part(const Napi::Value& value) {
  const Napi::Object object = to_object(value, "part");
  if (object.Has("zeros")) {
    return {{}, static_cast<std::size_t>(to_integer(object.Get("zeros"), "zeros", 1, 1 << 30))};
  }
  const Napi::Object file = to_object(object.Get("file"), "file"), tensor = to_object(object.Get("tensor"), "tensor");
  StoredTensor stored{.fd = to_int(file.Get("fd"), "fd", 0, std::numeric_limits<int>::max()),
                      .path = to_string(file.Get("path"), "path"),
                      .name = to_string(tensor.Get("name"), "name"),
                      .dtype = find_named(dtypes, tensor.Get("dtype"), "dtype"),
                      .shape = to_integers(tensor.Get("shape"), "shape"),
                      .strides = to_integers(tensor.Get("strides"), "strides"),
                      .offset = to_integer(tensor.Get("offset"), "offset", 0, max_exact_integer),
                      .negated = tensor.Get("negated").ToBoolean()};
  if (stored.strides.size() != stored.shape.size()) reject("a tensor's strides do not fit its shape");
  return {std::move(stored), 0};
}

Manifest to_manifest(const Napi::Value& value) {
  const Napi::Array weights = to_array(value, "weights");
  Manifest manifest;
  for (std::uint32_t i = 0; i < weights.Length(); i++) {
    const Napi::HandleScope scope(value.Env());
    const Napi::Object object = to_object(weights[i], "weight");
    const Napi::Array parts = to_array(object.Get("parts"), "parts");
    ManifestWeight weight{to_integers(object.Get("shape"), "shape"), {}};
    for (std::uint32_t p = 0; p < parts.Length(); p++) weight.parts.push_back(to_part(parts[p]));
    manifest.insert_or_assign(to_string(object.Get("name"), "name"), std::move(weight));
  }
  return manifest;
}

/// "auto", "cpu", "cuda" or "cuda:N"
void read_device(const std::string& name, EngineChoice& choice) {
  constexpr std::string_view cuda = "cuda";
  using Device = EngineChoice::Device;
  choice.device = name == "auto" ? Device::automatic : name == "cpu" ? Device::cpu : Device::cuda;
  if (choice.device != Device::cuda) return;
  const bool indexed = name.starts_with("cuda:");
  const char* first = name.data() + cuda.size() + 1;
  const char* last = name.data() + name.size();
  if (name != cuda && !(indexed && std::from_chars(first, last, choice.cuda_index).ptr == last && first != last)) {
    reject("device must be one of auto, cpu, cuda, cuda:N");
  }
}

EngineChoice to_engine_choice(const Napi::Object& options) {
  EngineChoice choice{.threads = to_int(options.Get("threads"), "threads", 0, EngineChoice::max_threads),
                      .instruction_set = instruction_set_of_environment()};
  read_device(to_string(options.Get("device"), "device"), choice);
  const Napi::Value precision = options.Get("precision");
  if (to_string(precision, "precision") != "auto") choice.precision = find_named(precisions, precision, "precision");
  const Napi::Value wait = options.Get("wait");
  if (to_string(wait, "wait") != "auto") choice.wait = find_named(waits, wait, "wait");
  return choice;
}

}  // namespace

ModelConfig to_model_config(const Napi::Value& value) {
  const Napi::Object object = to_object(value, "options");
  return {.backbone = to_backbone_config(object),
          .head = to_head_config(object.Get("head")),
          .backbone_weights = to_manifest(object.Get("backboneWeights")),
          .head_weights = to_manifest(object.Get("headWeights")),
          .engine = to_engine_choice(object)};
}

}  // namespace flow::addon

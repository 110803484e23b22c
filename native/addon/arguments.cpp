#include "addon/arguments.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "ops/error.h"

namespace flow::addon {

namespace {

constexpr int max_side = 65535;
constexpr int max_tokens = 65536;
constexpr int max_width = 1 << 15;
constexpr int max_patch = 64;
constexpr double max_exact_integer = 9007199254740991.0;

[[noreturn]] void reject(const std::string& message) { throw Error(ErrorCode::argument, message); }

Napi::Object to_object(const Napi::Value& value, const char* what) {
  if (!value.IsObject()) reject(std::string(what) + " is not an object");
  return value.As<Napi::Object>();
}

std::string to_string(const Napi::Value& value, const char* what) {
  if (!value.IsString()) reject(std::string(what) + " is not a string");
  return value.As<Napi::String>();
}

std::int64_t to_integer(const Napi::Value& value, const char* what, double min, double max) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= min && number <= max) || number != std::floor(number)) {
    reject(std::string(what) + " is not an integer in its range");
  }
  return static_cast<std::int64_t>(number);
}

Napi::Array to_array(const Napi::Value& value, const char* what) {
  if (!value.IsArray()) reject(std::string(what) + " is not an array");
  return value.As<Napi::Array>();
}

std::vector<std::int64_t> to_integers(const Napi::Value& value, const char* what) {
  const Napi::Array array = to_array(value, what);
  std::vector<std::int64_t> integers;
  for (std::uint32_t i = 0; i < array.Length(); i++)
    integers.push_back(to_integer(array[i], what, 0, max_exact_integer));
  return integers;
}

template <class Value, std::size_t Count>
Value named(const std::array<std::pair<std::string_view, Value>, Count>& table, const std::string& name,
            const char* what) {
  for (const auto& [known, value] : table) {
    if (known == name) return value;
  }
  reject(std::string("unknown ") + what + " '" + name + "'");
}

constexpr std::array<std::pair<std::string_view, Precision>, 3> precisions{
    {{"fp32", Precision::fp32}, {"fp16", Precision::fp16}, {"bf16", Precision::bf16}}};

constexpr std::array<std::pair<std::string_view, PixelFormat>, 6> formats{{{"rgb", PixelFormat::rgb},
                                                                           {"rgba", PixelFormat::rgba},
                                                                           {"bgr", PixelFormat::bgr},
                                                                           {"bgra", PixelFormat::bgra},
                                                                           {"gray", PixelFormat::gray},
                                                                           {"nv12", PixelFormat::nv12}}};
constexpr std::array<std::pair<std::string_view, DType>, 3> dtypes{
    {{"float32", DType::float32}, {"float16", DType::float16}, {"bfloat16", DType::bfloat16}}};
constexpr std::array<std::pair<std::string_view, BackboneConfig::Ffn>, 2> ffns{
    {{"swiglu", BackboneConfig::Ffn::swiglu}, {"mlp", BackboneConfig::Ffn::mlp}}};

std::span<const std::uint8_t> to_bytes(const Napi::Value& value) {
  if (!value.IsTypedArray()) reject("a frame's data are not a Uint8Array");
  const auto type = value.As<Napi::TypedArray>().TypedArrayType();
  if (type != napi_uint8_array && type != napi_uint8_clamped_array) reject("a frame's data are not a Uint8Array");
  void* data = nullptr;
  std::size_t length = 0;
  napi_get_typedarray_info(value.Env(), value, nullptr, &length, &data, nullptr, nullptr);
  return {static_cast<const std::uint8_t*>(data), data == nullptr ? 0 : length};
}

BackboneConfig to_backbone_config(const Napi::Value& value) {
  const Napi::Object object = to_object(value, "backbone");
  const auto get = [&](const char* name, int min, int max = max_width) {
    return to_int(object.Get(name), name, min, max);
  };
  const BackboneConfig config{.dim = get("dim", 4),
                              .depth = get("depth", 1),
                              .heads = get("heads", 1),
                              .ffn = named(ffns, to_string(object.Get("ffn"), "ffn"), "ffn"),
                              .hidden = get("hidden", 1),
                              .patch = get("patch", 1, max_patch),
                              .storage_tokens = get("storageTokens", 0)};
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
                      .dtype = named(dtypes, to_string(tensor.Get("dtype"), "dtype"), "dtype"),
                      .shape = to_integers(tensor.Get("shape"), "shape"),
                      .strides = to_integers(tensor.Get("strides"), "strides"),
                      .offset = to_integer(tensor.Get("offset"), "offset", 0, max_exact_integer)};
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
    reject("device is one of auto, cpu, cuda, cuda:N");
  }
}

EngineChoice to_engine_choice(const Napi::Object& options) {
  EngineChoice choice{.threads = to_int(options.Get("threads"), "threads", 0, EngineChoice::max_threads),
                      .instruction_set = instruction_set_of_environment()};
  read_device(to_string(options.Get("device"), "device"), choice);
  const std::string precision = to_string(options.Get("precision"), "precision");
  if (precision != "auto") choice.precision = named(precisions, precision, "precision");
  return choice;
}

}  // namespace

int to_int(const Napi::Value& value, const char* what, int min, int max) {
  return static_cast<int>(to_integer(value, what, min, max));
}

FeatureId to_feature_id(const Napi::Value& value) {
  return static_cast<FeatureId>(to_integer(value, "feature map", 1, max_exact_integer));
}

Grid to_grid(const Napi::Value& height, const Napi::Value& width) {
  const Grid grid{to_int(height, "grid height", 1, max_tokens), to_int(width, "grid width", 1, max_tokens)};
  if (static_cast<std::int64_t>(grid.height) * grid.width > max_tokens) reject("the grid is too large");
  return grid;
}

Frame to_frame(const Napi::Value& value) {
  const Napi::Object object = to_object(value, "frame");
  const auto bytes = to_bytes(object.Get("data"));
  const Frame frame{.data = bytes.data(),
                    .width = to_int(object.Get("width"), "width", 1, max_side),
                    .height = to_int(object.Get("height"), "height", 1, max_side),
                    .stride = static_cast<std::ptrdiff_t>(
                        to_integer(object.Get("stride"), "stride", 1, std::numeric_limits<int>::max())),
                    .format = named(formats, to_string(object.Get("format"), "format"), "format")};
  if (frame.format == PixelFormat::nv12 && (frame.width % 2 != 0 || frame.height % 2 != 0)) {
    reject("an nv12 frame has even sides");
  }
  const std::ptrdiff_t row = row_bytes(frame.format, frame.width), rows = stored_rows(frame.format, frame.height);
  if (frame.stride < row || static_cast<std::ptrdiff_t>(bytes.size()) < (rows - 1) * frame.stride + row) {
    reject("a frame's data are too short for its size");
  }
  return frame;
}

std::span<float> to_floats(const Napi::Value& value, std::size_t count) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    reject("the output is not a Float32Array");
  }
  void* data = nullptr;
  std::size_t length = 0;
  napi_get_typedarray_info(value.Env(), value, nullptr, &length, &data, nullptr, nullptr);
  if (data == nullptr || length != count) reject("the output has another length than the result");
  return {static_cast<float*>(data), count};
}

std::span<std::uint8_t> to_pixels(const Napi::Value& value, std::size_t count) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    reject("the picture is not a Uint8Array");
  }
  void* data = nullptr;
  std::size_t length = 0;
  napi_get_typedarray_info(value.Env(), value, nullptr, &length, &data, nullptr, nullptr);
  if (data == nullptr || length != count) reject("the picture has another length than the result");
  return {static_cast<std::uint8_t*>(data), count};
}

FlowColors to_flow_colors(const Napi::Value& value) {
  const Napi::Object object = to_object(value, "colors");
  const auto get = [&](const char* name) {
    const Napi::Value length = object.Get(name);
    const double number = length.IsNumber() ? length.As<Napi::Number>().DoubleValue() : std::nan("");
    if (!(number >= 0)) reject(std::string(name) + " is not a length");
    return number;
  };
  return {.scale = get("scale"), .clip_max = get("clipMax"), .clip_min = get("clipMin")};
}

ModelConfig to_model_config(const Napi::Value& value) {
  const Napi::Object object = to_object(value, "options");
  return {.backbone = to_backbone_config(object.Get("backbone")),
          .head = to_head_config(object.Get("head")),
          .backbone_weights = to_manifest(object.Get("backboneWeights")),
          .head_weights = to_manifest(object.Get("headWeights")),
          .engine = to_engine_choice(object)};
}

}  // namespace flow::addon

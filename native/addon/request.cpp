#include "addon/request.h"

#include <array>
#include <limits>

#include "addon/pixel_format.h"
#include "addon/values.h"

namespace flow::addon {

namespace {

constexpr int max_side = 65535;
constexpr int max_patches = 65536;
constexpr std::size_t max_output_pixels = std::size_t{1} << 29;

constexpr std::array<Named<RefinePreset>, 3> presets{
    {{"fast", RefinePreset::fast}, {"default", RefinePreset::normal}, {"best", RefinePreset::best}}};

/// A result map: its name in NativeRequest, its member of Request, and its values per pixel.
template <class Element>
struct Output {
  const char* name;
  std::span<Element> Request::*place;
  std::size_t channels;
};
constexpr std::array<Output<float>, 3> float_outputs{
    {{"flow", &Request::flow, 2}, {"backward", &Request::backward, 2}, {"confidence", &Request::confidence, 1}}};
constexpr std::array<Output<std::uint8_t>, 2> byte_outputs{
    {{"occlusion", &Request::occlusion, 1}, {"picture", &Request::picture, 3}}};

/// Reads the fields of a request.
class Reader {
 public:
  Reader(const Napi::Value& value, BoundMemory& memory) : object_(to_object(value, "request")), memory_(memory) {}

  Request read() {
    Request& request = request_;
    request.from = input("from");
    request.to = input("to");
    if (std::holds_alternative<Frame>(request.from) || std::holds_alternative<Frame>(request.to)) request.grid = grid();
    request.keep_from = keep("keepFrom");
    request.keep_to = keep("keepTo");
    request.skip_duplicate = get("skipDuplicate").ToBoolean();
    if (const Napi::Value refine = get("refine"); !refine.IsUndefined()) {
      request.refine = refinement(to_object(refine, "refine"));
      output_pixels();
    }
    if (const Napi::Value features = get("features"); !features.IsUndefined()) {
      request.features = memory_.elements<float>(features, napi_float32_array, "features");
    }
    outputs(float_outputs, napi_float32_array);
    outputs(byte_outputs, napi_uint8_array);
    if (const Napi::Value similarity = get("similarity"); !similarity.IsUndefined()) {
      request.similarity = memory_.elements<float>(similarity, napi_float32_array, "similarity");
      if (request.similarity.size() != 1) reject("similarity has another length than the result");
      output_pixels();
    }
    if (request.skip_duplicate && memory_.on_device()) reject("only frames and results of the host can be duplicates");
    if (!request.picture.empty()) request.colors = colors(to_object(get("colors"), "colors"));
    return request_;
  }

 private:
  Napi::Value get(const char* name) const { return object_.Get(name); }

  Input input(const char* name) {
    const Napi::Value value = get(name);
    if (value.IsUndefined()) return {};
    if (value.IsNumber()) return to_feature_id(value);
    return frame(to_object(value, name));
  }

  Frame frame(const Napi::Object& object) {
    const auto bytes = pixels(object.Get("data"));
    Frame frame{.data = bytes.data(),
                .width = to_int(object.Get("width"), "width", 1, max_side),
                .height = to_int(object.Get("height"), "height", 1, max_side),
                .format = to_pixel_format(object.Get("channels"), object.Get("toRgb")),
                .planes = {}};
    const Napi::Array planes = to_array(object.Get("planes"), "planes");
    if (planes.Length() != static_cast<std::uint32_t>(frame.format.plane_count())) reject("a frame lacks a plane");
    for (std::uint32_t p = 0; p < planes.Length(); p++) {
      const Napi::Object plane = to_object(planes[p], "plane");
      frame.planes[p] = {to_integer(plane.Get("offset"), "offset", 0, max_exact_integer),
                         to_int(plane.Get("stride"), "stride", 1, std::numeric_limits<int>::max())};
      if (frame.planes[p].stride < size_of_plane(frame, static_cast<int>(p)).row) reject("the stride is too short");
    }
    if (bytes.size() < bytes_of(frame).size()) reject("a frame's data are too short for its size");
    return frame;
  }

  Grid grid() const { return to_grid(get("gridHeight"), get("gridWidth")); }

  FeatureId keep(const char* name) const {
    const Napi::Value value = get(name);
    return value.IsUndefined() ? 0 : to_feature_id(value);
  }

  template <class Outputs>
  void outputs(const Outputs& all, napi_typedarray_type type) {
    for (const auto& output : all) {
      const Napi::Value value = get(output.name);
      if (value.IsUndefined()) continue;
      auto& place = request_.*output.place;
      place = memory_.result<typename std::remove_reference_t<decltype(place)>::element_type>(value, type, output.name);
      if (place.size() != output.channels * output_pixels()) reject("an output has another length than the result");
    }
  }

  std::size_t output_pixels() {
    Request& request = request_;
    if (request.height == 0) {
      request.height = to_int(get("height"), "output height", 1, max_side);
      request.width = to_int(get("width"), "output width", 1, max_side);
    }
    const std::size_t pixels = static_cast<std::size_t>(request.height) * static_cast<std::size_t>(request.width);
    if (pixels > max_output_pixels) reject("the output is too large");
    return pixels;
  }

  Refinement refinement(const Napi::Object& object) const {
    return {.preset = find_named(presets, object.Get("preset"), "preset"),
            .smoothness = static_cast<float>(to_length(object.Get("smoothness"), "smoothness"))};
  }

  FlowColors colors(const Napi::Object& object) const {
    return {.scale = to_length(object.Get("scale"), "scale"),
            .clip_max = to_length(object.Get("clipMax"), "clipMax"),
            .clip_min = to_length(object.Get("clipMin"), "clipMin")};
  }

  std::span<const std::uint8_t> pixels(const Napi::Value& value) {
    if (!value.IsTypedArray()) {
      const std::span<std::byte> bytes = memory_.bytes(value, "a frame's data");
      return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
    }
    const bool clamped =
        value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_clamped_array;
    return memory_.elements<std::uint8_t>(value, clamped ? napi_uint8_clamped_array : napi_uint8_array,
                                          "a frame's data");
  }

  Napi::Object object_;
  BoundMemory& memory_;
  Request request_;
};

}  // namespace

Grid to_grid(const Napi::Value& height, const Napi::Value& width) {
  const Grid grid{to_int(height, "grid height", 1, max_patches), to_int(width, "grid width", 1, max_patches)};
  if (static_cast<std::int64_t>(grid.height) * grid.width > max_patches) reject("the grid is too large");
  return grid;
}

FeatureId to_feature_id(const Napi::Value& value) {
  return static_cast<FeatureId>(to_integer(value, "feature map", 1, max_exact_integer));
}

Request to_request(const Napi::Value& value, BoundMemory& memory) { return Reader(value, memory).read(); }

}  // namespace flow::addon

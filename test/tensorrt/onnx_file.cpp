#include "onnx_file.h"

#include <cstring>
#include <stdexcept>
#include <utility>

#include "ops/half.h"

namespace nvinfer_emu {

namespace {

using Bytes = std::span<const std::byte>;

/// The fields of a message in protobuf's encoding.
class Message {
 public:
  explicit Message(Bytes bytes) : rest_(bytes) {}

  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t tag = varint();
    number_ = tag >> 3;
    switch (tag & 7) {
      case 0: value_ = varint(); break;
      case 1: take(8); break;
      case 2: content_ = take(varint()); break;
      case 5: take(4); break;
      default: damaged();
    }
    return true;
  }

  std::uint64_t number() const { return number_; }
  std::uint64_t value() const { return value_; }
  Bytes content() const { return content_; }
  std::string text() const { return {reinterpret_cast<const char*>(content_.data()), content_.size()}; }

  /// Many numbers in the content.
  std::vector<std::int64_t> packed() const {
    Message inner(content_);
    std::vector<std::int64_t> values;
    while (!inner.rest_.empty()) values.push_back(static_cast<std::int64_t>(inner.varint()));
    return values;
  }

 private:
  [[noreturn]] static void damaged() { throw std::runtime_error("the file is damaged"); }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<std::uint64_t>(take(1)[0]);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    damaged();
  }

  Bytes take(std::size_t count) {
    if (count > rest_.size()) damaged();
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  Bytes rest_, content_;
  std::uint64_t number_ = 0, value_ = 0;
};

// Numbers of fields and types in onnx.proto.
constexpr int float32_type = 1, float16_type = 10;

void read_tensor(Bytes bytes, OnnxFile& file) {
  Initializer tensor;
  std::string name;
  std::uint64_t type = 0;
  for (Message field(bytes); field.next();) {
    switch (field.number()) {
      case 1:
        if (field.content().empty()) {
          tensor.shape.push_back(static_cast<std::int64_t>(field.value()));
        } else {
          tensor.shape = field.packed();
        }
        break;
      case 2: type = field.value(); break;
      case 8: name = field.text(); break;
      case 9: tensor.raw.assign(field.content().begin(), field.content().end()); break;
      default: break;
    }
  }
  if (type != float32_type && type != float16_type) return file.lists.push_back(name);
  tensor.half = type == float16_type;
  file.initializers.insert_or_assign(name, std::move(tensor));
}

void read_graph(Bytes bytes, OnnxFile& file) {
  for (Message field(bytes); field.next();) {
    if (field.number() == 5) read_tensor(field.content(), file);
  }
}

void read_metadata(Bytes bytes, OnnxFile& file) {
  std::string key;
  for (Message field(bytes); field.next();) {
    if (field.number() == 1) key = field.text();
    if (field.number() == 2) file.metadata[key] = field.text();
  }
}

}  // namespace

std::vector<float> Initializer::values() const {
  std::vector<float> values(raw.size() / (half ? sizeof(std::uint16_t) : sizeof(float)));
  if (!half) {
    std::memcpy(values.data(), raw.data(), values.size() * sizeof(float));
    return values;
  }
  for (std::size_t i = 0; i < values.size(); i++) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, &raw[i * sizeof(bits)], sizeof(bits));
    values[i] = flow::from_fp16(bits);
  }
  return values;
}

OnnxFile read_onnx(Bytes bytes) {
  OnnxFile file;
  for (Message field(bytes); field.next();) {
    if (field.number() == 7) read_graph(field.content(), file);
    if (field.number() == 14) read_metadata(field.content(), file);
  }
  return file;
}

}  // namespace nvinfer_emu

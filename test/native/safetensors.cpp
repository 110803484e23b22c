#include "safetensors.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string_view>

namespace flow {

namespace {

constexpr std::size_t length_bytes = 8;
constexpr std::int64_t max_elements = std::int64_t{1} << 31;

/// A tensor's entry in the header.
struct Entry {
  std::string dtype;
  std::vector<std::int64_t> shape, offsets;
};

/// Parses the header, with the part of JSON that it needs. Strings with an escape are refused.
class Header {
 public:
  Header(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  std::map<std::string, Entry> parse() {
    std::map<std::string, Entry> entries;
    object([&](std::string name) {
      if (name == "__metadata__") {
        object([&](const std::string& /*key*/) { string(); });
      } else {
        Entry parsed = entry();
        if (!entries.emplace(std::move(name), std::move(parsed)).second) fail("a name comes twice");
      }
    });
    if (next() != '\0') fail("something follows the header's object");
    return entries;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::checkpoint_format,
                path_ + ": " + what + " (byte " + std::to_string(length_bytes + at_) + ")");
  }

 private:
  Entry entry() {
    Entry entry;
    object([&](const std::string& key) {
      if (key == "dtype") {
        entry.dtype = string();
      } else if (key == "shape") {
        entry.shape = integers();
      } else if (key == "data_offsets") {
        entry.offsets = integers();
      } else {
        fail("unknown key \"" + key + "\"");
      }
    });
    return entry;
  }

  /// { "key": value, ... }; `value` is called after each colon.
  template <class Value>
  void object(const Value& value) {
    take('{');
    if (next() == '}') return take('}');
    for (;;) {
      std::string key = string();
      take(':');
      value(std::move(key));
      if (next() == '}') return take('}');
      take(',');
    }
  }

  std::vector<std::int64_t> integers() {
    std::vector<std::int64_t> values;
    take('[');
    if (next() != ']') {
      values.push_back(integer());
      while (next() == ',') {
        take(',');
        values.push_back(integer());
      }
    }
    take(']');
    return values;
  }

  std::int64_t integer() {
    std::int64_t value = 0;
    if (next() < '0' || next() > '9') fail("a count is not a number");
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      if (value > std::numeric_limits<std::int64_t>::max() / 16) fail("a count is too large");
      value = 10 * value + (text_[at_++] - '0');
    }
    return value;
  }

  std::string string() {
    take('"');
    const std::size_t end = text_.find_first_of("\"\\", at_);
    if (end == std::string_view::npos || text_[end] == '\\') fail("a string has no end, or an escape");
    std::string value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }

  /// Returns the next character that is not a space, without taking it; '\0' at the end.
  char next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) at_++;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  void take(char expected) {
    if (next() != expected) fail(std::string("no '") + expected + "' where one belongs");
    at_++;
  }

  const std::string& path_;
  std::string_view text_;
  std::size_t at_ = 0;
};

Tensor tensor_of(const Header& header, const std::string& name, const Entry& entry, std::string_view data) {
  const auto refuse = [&](const std::string& what) { header.fail("tensor \"" + name + "\": " + what); };
  if (entry.dtype != "F32") refuse("its type is " + entry.dtype + ", not F32");
  Tensor tensor;
  std::int64_t count = 1;
  for (const std::int64_t extent : entry.shape) {
    if (extent > max_elements || (extent != 0 && count > max_elements / extent)) refuse("it is too large");
    count *= extent;
    tensor.shape.push_back(static_cast<int>(extent));
  }
  if (entry.offsets.size() != 2 || entry.offsets[0] > entry.offsets[1]) refuse("its place is no range");
  const auto begin = static_cast<std::uint64_t>(entry.offsets[0]), end = static_cast<std::uint64_t>(entry.offsets[1]);
  if (end > data.size()) refuse("it ends outside the file");
  if (end - begin != sizeof(float) * static_cast<std::uint64_t>(count)) refuse("its place and its shape disagree");
  tensor.values.resize(static_cast<std::size_t>(count));
  if (count > 0) std::memcpy(tensor.values.data(), data.data() + begin, static_cast<std::size_t>(end - begin));
  return tensor;
}

}  // namespace

Tensors read_safetensors(const std::string& path) {
  static_assert(std::endian::native == std::endian::little);
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::io, path + " cannot be opened");
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::string_view all = bytes;

  std::uint64_t header_bytes = 0;
  if (all.size() < length_bytes) throw Error(ErrorCode::checkpoint_format, path + " is too short");
  std::memcpy(&header_bytes, all.data(), length_bytes);
  if (header_bytes > all.size() - length_bytes) {
    throw Error(ErrorCode::checkpoint_format, path + ": its header ends outside the file");
  }
  Header header(path, all.substr(length_bytes, static_cast<std::size_t>(header_bytes)));
  const std::string_view data = all.substr(length_bytes + static_cast<std::size_t>(header_bytes));
  Tensors tensors;
  for (const auto& [name, entry] : header.parse()) tensors.emplace(name, tensor_of(header, name, entry, data));
  return tensors;
}

const Tensor& find(const Tensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) throw Error(ErrorCode::checkpoint_tensor, "tensor \"" + name + "\" is missing");
  return found->second;
}

std::vector<float> TensorWeights::read(const std::string& name, std::size_t count) {
  const Tensor& tensor = find(tensors_, name);
  if (tensor.values.size() != count) {
    throw Error(ErrorCode::checkpoint_tensor, "tensor \"" + name + "\" has " + std::to_string(tensor.values.size()) +
                                                  " values instead of " + std::to_string(count));
  }
  return tensor.values;
}

}  // namespace flow

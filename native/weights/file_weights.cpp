#include "weights/file_weights.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "ops/error.h"
#include "ops/half.h"

namespace flow {

namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;

std::size_t bytes_of(DType dtype) { return dtype == DType::float64 ? 8 : dtype == DType::float32 ? 4 : 2; }

/// A tensor's name for a message: names come from the file, and must neither control a terminal nor fill it.
std::string shown(std::string name) {
  constexpr std::size_t longest = 120;
  if (name.size() > longest) {
    std::size_t end = longest;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) end--;  // whole characters of UTF-8
    name = name.substr(0, end) + "...";
  }
  std::ranges::replace_if(
      name, [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');
  return name;
}

std::string quoted(const StoredTensor& tensor) { return tensor.path + ": tensor \"" + shown(tensor.name) + "\""; }

/// One axis of a copy from the file's order of elements to row-major order.
struct Axis {
  std::int64_t count, from, to;  // number of elements; their distance in the file and in the result
};

/// The axes in the file's order, so that the file is read front to back for any strides (channels_last weights exist).
/// Axes that continue each other are joined: a contiguous tensor becomes one axis.
std::vector<Axis> axes_in_file_order(const StoredTensor& tensor) {
  std::vector<Axis> axes;
  std::int64_t to = 1;
  for (std::size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1) axes.push_back({tensor.shape[i], tensor.strides[i], to});
    to *= tensor.shape[i];
  }
  std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.from < b.from; });
  std::vector<Axis> joined;  // innermost first
  for (const Axis& axis : axes) {
    if (!joined.empty()) {
      Axis& inner = joined.back();
      if (axis.from == inner.count * inner.from && axis.to == inner.count * inner.to) {
        inner.count *= axis.count;
        continue;
      }
    }
    joined.push_back(axis);
  }
  if (joined.empty()) joined.push_back({1, 1, 1});
  std::ranges::reverse(joined);
  return joined;
}

/// Converts `count` adjacent elements of a file to floats that lie `step` apart. Checkpoints and all supported machines
/// are little-endian.
void convert(DType dtype, const std::byte* from, std::int64_t count, float* to, std::int64_t step) {
  static_assert(std::endian::native == std::endian::little);
  if (dtype == DType::float32) {
    if (step == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
      return;
    }
    for (std::int64_t i = 0; i < count; i++) std::memcpy(to + i * step, from + 4 * i, sizeof(float));
    return;
  }
  if (dtype == DType::float64) {
    for (std::int64_t i = 0; i < count; i++) {
      double value = 0;
      std::memcpy(&value, from + 8 * i, sizeof value);
      to[i * step] = static_cast<float>(value);
    }
    return;
  }
  for (std::int64_t i = 0; i < count; i++) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, from + 2 * i, sizeof bits);
    to[i * step] = dtype == DType::float16 ? from_fp16(bits) : from_bf16(bits);
  }
}

void read_exactly(const StoredTensor& tensor, std::int64_t offset, std::byte* to, std::size_t length) {
  for (std::size_t done = 0; done < length;) {
    const ssize_t n = pread(tensor.fd, to + done, length - done, static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(ErrorCode::io, quoted(tensor) + " cannot be read: " + std::strerror(errno));
    if (n == 0) {
      throw Error(ErrorCode::checkpoint_format,
                  quoted(tensor) + " is cut short: the file became shorter while it was read");
    }
    done += static_cast<std::size_t>(n);
  }
}

/// Gives the elements of a stored tensor by position, through a window that moves over the file.
class Window {
 public:
  Window(const StoredTensor& tensor, std::vector<std::byte>& buffer, const std::function<void(std::size_t)>& on_read)
      : tensor_(tensor), buffer_(buffer), on_read_(on_read), size_(static_cast<std::int64_t>(bytes_of(tensor.dtype))) {
    for (std::size_t i = 0; i < tensor.shape.size(); i++) end_ += (tensor.shape[i] - 1) * tensor.strides[i];
    on_read_(0);
  }

  /// The bytes from element `position` on. `available` receives the number of elements there, at least one.
  const std::byte* at(std::int64_t position, std::int64_t& available) {
    if (position < first_ || position >= last_) load(position);
    available = last_ - position;
    return buffer_.data() + (position - first_) * size_;
  }

 private:
  void load(std::int64_t position) {
    first_ = last_ = position;  // the window is empty if the read throws
    const auto count = std::min(end_ - position, static_cast<std::int64_t>(buffer_.size()) / size_);
    const auto length = static_cast<std::size_t>(count * size_);
    read_exactly(tensor_, tensor_.offset + position * size_, buffer_.data(), length);
    last_ = position + count;
    on_read_(length);
  }

  const StoredTensor& tensor_;
  std::vector<std::byte>& buffer_;
  const std::function<void(std::size_t)>& on_read_;
  std::int64_t size_;
  std::int64_t first_ = 0, last_ = 0, end_ = 1;
};

/// Copies the elements of the axes from `depth` on; `from` and `to` are the positions of the first element.
void copy_axes(const std::vector<Axis>& axes, std::size_t depth, DType dtype, Window& window, std::int64_t from,
               float* to) {
  const Axis& axis = axes[depth];
  if (depth + 1 < axes.size()) {
    for (std::int64_t i = 0; i < axis.count; i++) {
      copy_axes(axes, depth + 1, dtype, window, from + i * axis.from, to + i * axis.to);
    }
    return;
  }
  for (std::int64_t i = 0; i < axis.count;) {
    std::int64_t available = 0;
    const std::byte* bytes = window.at(from + i * axis.from, available);
    const std::int64_t count = axis.from == 1 ? std::min(available, axis.count - i) : 1;
    convert(dtype, bytes, count, to + i * axis.to, axis.to);
    i += count;
  }
}

/// "[3, 0, 1]" for the element at `position` in row-major order.
std::string index_of(const std::vector<std::int64_t>& shape, std::size_t position) {
  std::string text;
  auto rest = static_cast<std::int64_t>(position);
  for (std::size_t i = shape.size(); i-- > 0; rest /= shape[i]) {
    if (!text.empty()) text.insert(0, ", ");
    text.insert(0, std::to_string(rest % shape[i]));
  }
  return "[" + text + "]";
}

/// Without a branch per value, so that the compiler vectorises it. An exponent of ones, and only that, carries into the
/// sign bit.
bool all_finite(const float* values, std::size_t count) {
  constexpr std::uint32_t exponent = 0x7F800000U, lowest = 0x00800000U;
  std::uint32_t carries = 0;
  for (std::size_t i = 0; i < count; i++) carries |= (std::bit_cast<std::uint32_t>(values[i]) & exponent) + lowest;
  return (carries >> 31U) == 0;
}

void require_finite(const StoredTensor& tensor, const float* values, std::size_t count) {
  if (all_finite(values, count)) return;
  for (std::size_t i = 0; i < count; i++) {
    if (std::isfinite(values[i])) continue;
    throw Error(ErrorCode::checkpoint_tensor,
                quoted(tensor) + " holds " + (std::isnan(values[i]) ? "NaN" : "infinity") + " at " +
                    index_of(tensor.shape, i) + ": the file is damaged, or its training diverged");
  }
}

}  // namespace

std::size_t element_count(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t n : shape) count *= static_cast<std::size_t>(n);
  return count;
}

FileWeights::FileWeights(Manifest manifest, std::function<void(std::size_t)> on_read)
    : manifest_(std::move(manifest)), on_read_(std::move(on_read)) {}

const ManifestWeight& FileWeights::find(const std::string& name) const {
  const auto found = manifest_.find(name);
  if (found == manifest_.end()) throw Error(ErrorCode::checkpoint_tensor, "weight \"" + name + "\" is missing");
  return found->second;
}

int FileWeights::extent(const std::string& name, std::size_t axis) const {
  const auto& shape = find(name).shape;
  if (axis >= shape.size() || shape[axis] > std::numeric_limits<int>::max()) {
    throw Error(ErrorCode::checkpoint_tensor, "weight \"" + name + "\" has an unusable shape");
  }
  return static_cast<int>(shape[axis]);
}

std::vector<float> FileWeights::read(const std::string& name, std::size_t count) {
  const ManifestWeight& weight = find(name);
  std::size_t parts = 0;
  for (const WeightPart& part : weight.parts) parts += part.zeros != 0 ? part.zeros : element_count(part.tensor.shape);
  if (parts != count) {
    throw Error(ErrorCode::checkpoint_tensor,
                "weight \"" + name + "\" has " + std::to_string(parts) + " values instead of " + std::to_string(count));
  }
  std::vector<float> values(count);
  float* out = values.data();
  for (const WeightPart& part : weight.parts) {
    if (part.zeros == 0) read_tensor(part.tensor, out);
    out += part.zeros != 0 ? part.zeros : element_count(part.tensor.shape);
  }
  return values;
}

void FileWeights::read_tensor(const StoredTensor& tensor, float* out) {
  const std::size_t count = element_count(tensor.shape);
  if (count == 0) return;
  chunk_.resize(chunk_bytes);
  Window window(tensor, chunk_, on_read_);
  copy_axes(axes_in_file_order(tensor), 0, tensor.dtype, window, 0, out);
  require_finite(tensor, out, count);
  if (tensor.negated) std::transform(out, out + count, out, std::negate{});
}

std::size_t FileWeights::stored_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, weight] : manifest_) {
    for (const WeightPart& part : weight.parts) {
      if (part.zeros == 0) bytes += element_count(part.tensor.shape) * bytes_of(part.tensor.dtype);
    }
  }
  return bytes;
}

std::size_t FileWeights::float_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, weight] : manifest_) bytes += element_count(weight.shape) * sizeof(float);
  return bytes;
}

}  // namespace flow

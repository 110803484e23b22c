#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "weights/weight_source.h"

namespace flow {

enum class DType { float64, float32, float16, bfloat16 };

/// A tensor in an open checkpoint. Mirrors StoredTensor of lib/checkpoint/tensor.ts. lib/ has checked that it lies
/// inside the file.
struct StoredTensor {
  int fd;
  std::string path;
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // in elements
  std::int64_t offset;                // in bytes
  bool negated;                       // the values are those of the file times -1 (PyTorch's neg bit)
};

/// A piece of a weight: a stored tensor, or `zeros` zeros if `zeros` is not 0.
struct WeightPart {
  StoredTensor tensor;
  std::size_t zeros;
};

struct ManifestWeight {
  std::vector<std::int64_t> shape;
  std::vector<WeightPart> parts;
};

/// The weights of one model by canonical name.
using Manifest = std::unordered_map<std::string, ManifestWeight>;

/// The number of elements of a shape.
std::size_t element_count(const std::vector<std::int64_t>& shape);

/// Reads weights from open checkpoint files, one at a time, through a buffer of 1 MiB.
class FileWeights : public WeightSource {
 public:
  /// `on_read` receives the size of every piece that was read, in bytes. If it throws, the read ends with its
  /// exception.
  FileWeights(Manifest manifest, std::function<void(std::size_t bytes)> on_read);

  bool has(const std::string& name) const override { return manifest_.contains(name); }
  int extent(const std::string& name, std::size_t axis) const override;
  /// Throws Error: checkpoint_tensor for a value that is not finite, checkpoint_format for a file that became shorter
  /// since it was checked, io if the system cannot read it.
  std::vector<float> read(const std::string& name, std::size_t count) override;

  /// Bytes of all weights of the manifest as they are stored.
  std::size_t stored_bytes() const;
  /// Bytes of all weights of the manifest as float32.
  std::size_t float_bytes() const;

 private:
  const ManifestWeight& find(const std::string& name) const;
  void read_tensor(const StoredTensor& tensor, float* out);

  Manifest manifest_;
  std::function<void(std::size_t)> on_read_;
  std::vector<std::byte> chunk_;
};

}  // namespace flow

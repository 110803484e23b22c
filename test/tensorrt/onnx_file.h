#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace nvinfer_emu {

/// A tensor that an ONNX file holds.
struct Initializer {
  std::vector<std::int64_t> shape;
  bool half = false;  // float16; else float32
  std::vector<std::byte> raw;

  /// As float32.
  std::vector<float> values() const;
};

/// What the double needs of an ONNX file. All else is skipped.
struct OnnxFile {
  std::map<std::string, Initializer> initializers;  // of floating-point numbers
  std::vector<std::string> lists;                   // names of the integer ones: "list:0,0,6,64"
  std::map<std::string, std::string> metadata;
};

/// Throws std::runtime_error for a file that is damaged.
OnnxFile read_onnx(std::span<const std::byte> bytes);

}  // namespace nvinfer_emu

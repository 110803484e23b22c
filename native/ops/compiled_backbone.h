#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ops/matrix.h"

namespace flow {

/// The backbone, compiled by another library for one device, one grid and one image.
class CompiledBackbone {
 public:
  virtual ~CompiledBackbone() = default;
  /// features (N x dim) = the backbone of `patches`, which preprocess_patches wrote. Queued in order with the stages of
  /// its engine, and recorded with them. Throws Error(device).
  virtual void run(OperandMatrix patches, RealMatrix features) = 0;
};

/// A library that compiles the backbone for the device of an engine. For one thread at a time.
class BackboneCompiler {
 public:
  virtual ~BackboneCompiler() = default;

  struct Info {
    std::string name;     // "TensorRT 10.16.1"; empty if there is none
    std::string version;  // "10.16.1"; empty if there is none
    std::string library;  // the file
    std::string reason;   // why it cannot be used; empty if it can
  };
  virtual Info describe() const = 0;

  struct Built {
    std::vector<std::byte> plan;
    std::vector<std::byte> timing_cache;  // makes later builds faster
  };
  /// Compiles an ONNX file with the input `patches` and the output `features`. This takes minutes. `go_on` is told the
  /// share that is done, 0 to 1, on any thread; once it returns false, this throws Error(aborted). Throws Error(device)
  /// if the library refuses.
  virtual Built build(std::span<const std::byte> onnx, std::span<const std::byte> timing_cache,
                      const std::function<bool(float)>& go_on) const = 0;

  /// Loads a plan for matrices of these shapes. Throws Error(device) for a plan that is damaged, of another version or
  /// device, or for other shapes; Error(out_of_memory).
  virtual std::unique_ptr<CompiledBackbone> load(std::span<const std::byte> plan, OperandMatrix patches,
                                                 RealMatrix features) const = 0;
};

}  // namespace flow

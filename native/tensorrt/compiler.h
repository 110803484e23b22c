#pragma once

#include "cuda/stream.h"
#include "engine/precision.h"
#include "ops/compiled_backbone.h"
#include "tensorrt/library.h"

namespace flow::tensorrt {

/// TensorRT for the device of a CUDA engine. Its work is queued on the engine's stream, in the engine's context, which
/// is the device's primary one, as TensorRT needs.
class Compiler : public BackboneCompiler {
 public:
  /// `precision` is the engine's. `stream` must outlive this and what it loads.
  Compiler(const cuda::Stream& stream, Precision precision);

  Info describe() const override { return info_; }
  Built build(std::span<const std::byte> onnx, std::span<const std::byte> timing_cache,
              const std::function<bool(float)>& go_on) const override;
  std::unique_ptr<CompiledBackbone> load(std::span<const std::byte> plan, OperandMatrix patches,
                                         RealMatrix features) const override;

 private:
  const Library& library() const;

  const cuda::Stream& stream_;
  Precision precision_;
  Info info_;
  Library library_;
};

}  // namespace flow::tensorrt

#pragma once

#include "ops/compiled_backbone.h"
#include "tensorrt/library.h"

namespace flow::tensorrt {

/// BackboneCompiler::build, in the context that is current.
BackboneCompiler::Built build(const Library& library, std::span<const std::byte> onnx,
                              std::span<const std::byte> timing_cache, const std::function<bool(float)>& go_on);

}  // namespace flow::tensorrt

#pragma once

#include <memory>

#include "model/vit.h"
#include "onnx_file.h"

namespace nvinfer_emu {

/// Computes what the exported backbone says, by its initialisers, on the CPU engine.
class EmulatedBackbone {
 public:
  /// Throws std::exception for a file that is not our backbone from patches.
  explicit EmulatedBackbone(const OnnxFile& file);
  ~EmulatedBackbone();
  EmulatedBackbone(const EmulatedBackbone&) = delete;
  EmulatedBackbone& operator=(const EmulatedBackbone&) = delete;

  int rows() const { return grid_.size(); }
  int columns() const { return columns_; }
  int dim() const { return config_.dim; }
  bool half() const { return half_; }

  /// patches: rows x columns, in half precision or not; features: rows x dim.
  void run(const void* patches, float* features) const;

 private:
  flow::BackboneConfig config_{};
  flow::Grid grid_{};
  int columns_ = 0;
  bool half_ = false;
  std::unique_ptr<flow::Ops> ops_;
  std::unique_ptr<flow::Vit> vit_;
  std::unique_ptr<flow::Vit::Plan> plan_;
};

}  // namespace nvinfer_emu

#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "model/config.h"
#include "model/network.h"
#include "test/native/synthetic_weights.h"

namespace flow::bench {

/// A model whose frames are compared with the oracle, timed and counted.
struct Model {
  const char* name;
  BackboneConfig backbone;
  HeadConfig head;
  int reduction = 1;  // of a frame's sides for the network
  std::optional<Refinement> refine = {};

  /// Sides of a frame are multiples of so many pixels.
  int cell() const { return backbone.patch * reduction; }
};

inline const Model models[] = {
    // The seed's configuration: DINOv3 ViT-S+/16 and its light flow head.
    {"seed", {384, 12, 6, BackboneConfig::Ffn::swiglu, 1536, 16, 4}, {256, 4, 320, 3, 16, 2}},
    // That of the package's own model (weights/), whose network runs at half the frame's size, and whose flow is
    // refined.
    {"default", {128, 2, 4, BackboneConfig::Ffn::swiglu, 384, 8, 4}, {256, 8, 192, 2, 8, 1}, 2, Refinement{}}};
inline const Model& seed = models[0];

/// The model with synthetic weights. No file is needed.
inline Network load(const Model& model, std::unique_ptr<Ops> ops) {
  SyntheticWeights backbone = SyntheticWeights::backbone(model.backbone);
  SyntheticWeights head = SyntheticWeights::head(model.head, model.backbone.dim);
  return {std::move(ops), model.backbone, model.head, backbone, head};
}

}  // namespace flow::bench

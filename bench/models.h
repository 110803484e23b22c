#pragma once

#include "model/config.h"

namespace flow::bench {

/// The seed's configuration: DINOv3 ViT-S+/16 and its light flow head.
constexpr BackboneConfig seed_backbone{384, 12, 6, BackboneConfig::Ffn::swiglu, 1536, 16, 4};
constexpr HeadConfig seed_head{256, 4, 320, 3, 16, 2};

/// That of the package's own model (weights/), whose network runs at half the frame's size, and whose flow is refined.
constexpr BackboneConfig default_backbone{128, 2, 4, BackboneConfig::Ffn::swiglu, 384, 8, 4};
constexpr HeadConfig default_head{256, 8, 192, 2, 8, 1};

}  // namespace flow::bench

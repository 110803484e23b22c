#pragma once

#include "model/config.h"

namespace flow::bench {

/// The seed's configuration: DINOv3 ViT-S+/16 and its light flow head.
constexpr BackboneConfig seed_backbone{384, 12, 6, BackboneConfig::Ffn::swiglu, 1536, 16, 4};
constexpr HeadConfig seed_head{256, 4, 320, 3, 16, 2};

}  // namespace flow::bench

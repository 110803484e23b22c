#include "emulated_backbone.h"

#include <cmath>
#include <cstdio>
#include <numbers>
#include <stdexcept>

#include "cpu/cpu_engine.h"
#include "ops/half.h"

namespace nvinfer_emu {

namespace {

using flow::BackboneConfig;
using flow::Grid;

bool is_matrix(const std::string& name, const Initializer& tensor) {
  return name.ends_with(".weight") && tensor.shape.size() == 2;
}

std::vector<float> transposed(const Initializer& tensor) {
  const auto rows = static_cast<std::size_t>(tensor.shape[0]), cols = static_cast<std::size_t>(tensor.shape[1]);
  const std::vector<float> values = tensor.values();
  std::vector<float> turned(values.size());
  for (std::size_t r = 0; r < rows; r++) {
    for (std::size_t c = 0; c < cols; c++) turned[c * rows + r] = values[r * cols + c];
  }
  return turned;
}

/// The weights of a backbone by their canonical names, from the initialisers of its graph, where matrices are turned.
class GraphWeights : public flow::WeightSource {
 public:
  GraphWeights(const OnnxFile& file, const BackboneConfig& config, Grid grid)
      : file_(file), config_(config), grid_(grid) {}

  bool has(const std::string& name) const override {
    return name == "rope_embed.periods" || file_.initializers.contains(name);
  }
  int extent(const std::string& /*name*/, std::size_t /*axis*/) const override { return 0; }
  std::vector<float> read(const std::string& name, std::size_t count) override {
    std::vector<float> values = find(name);
    if (values.size() != count) throw std::runtime_error(name + " has another size");
    return values;
  }

 private:
  std::vector<float> find(const std::string& name) const {
    const auto dim = static_cast<std::size_t>(config_.dim);
    if (name == "rope_embed.periods") return periods();
    if (name == "cls_token" || name == "storage_tokens") {
      const std::vector<float> tokens = file_.initializers.at("prefix_tokens").values();
      const auto end_of_class = tokens.begin() + static_cast<std::ptrdiff_t>(dim);
      return name == "cls_token" ? std::vector(tokens.begin(), end_of_class) : std::vector(end_of_class, tokens.end());
    }
    const Initializer& tensor = file_.initializers.at(name);
    if (!is_matrix(name, tensor)) return tensor.values();
    if (name != "patch_embed.proj.weight") return transposed(tensor);
    Initializer unpadded = tensor;
    unpadded.shape[0] = std::int64_t{3} * config_.patch * config_.patch;
    unpadded.raw.resize(static_cast<std::size_t>(unpadded.shape[0]) * dim * (tensor.half ? 2 : 4));
    return transposed(unpadded);
  }

  /// From the angles of the last patch, whose coordinates are the largest ones.
  std::vector<float> periods() const {
    const std::vector<float> cos = file_.initializers.at("rope_embed.cos").values(),
                             sin = file_.initializers.at("rope_embed.sin").values();
    const auto quarter = static_cast<std::size_t>(config_.head_dim()) / 4;
    const bool by_row = grid_.height > 1;
    const float side = static_cast<float>(by_row ? grid_.height : grid_.width);
    const float coordinate = (2 * side - 1) / side - 1;
    const std::size_t first = cos.size() - 4 * quarter + (by_row ? 0 : quarter);
    std::vector<float> periods(quarter, 1.F);
    for (std::size_t j = 0; j < quarter && side > 1; j++) {
      float angle = std::atan2(sin[first + j], cos[first + j]);
      if (angle <= 0) angle += 2 * std::numbers::pi_v<float>;
      periods[j] = 2 * std::numbers::pi_v<float> * coordinate / angle;
    }
    return periods;
  }

  const OnnxFile& file_;
  const BackboneConfig& config_;
  Grid grid_;
};

int size_of(const OnnxFile& file, const std::string& name, std::size_t axis) {
  return static_cast<int>(file.initializers.at(name).shape.at(axis));
}

BackboneConfig config_of(const OnnxFile& file) {
  BackboneConfig config{};
  config.dim = size_of(file, "norm.weight", 0);
  config.patch = std::stoi(file.metadata.at("patch"));
  config.storage_tokens = size_of(file, "prefix_tokens", 1) - 1;
  while (file.initializers.contains("blocks." + std::to_string(config.depth) + ".norm1.weight")) config.depth++;
  const bool gated = file.initializers.contains("blocks.0.mlp.w1.weight");
  config.ffn = gated ? BackboneConfig::Ffn::swiglu : BackboneConfig::Ffn::mlp;
  config.hidden = size_of(file, gated ? "blocks.0.mlp.w1.weight" : "blocks.0.mlp.fc1.weight", 1);
  for (const std::string& list : file.lists) {  // the shape that attention splits q, k and v to
    int heads = 0, head_dim = 0;
    if (std::sscanf(list.c_str(), "list:0,0,%d,%d", &heads, &head_dim) == 2 && heads * head_dim == config.dim) {
      config.heads = heads;
    }
  }
  if (config.heads == 0) throw std::runtime_error("the number of heads is not in the graph");
  return config;
}

Grid grid_of(const OnnxFile& file) {
  Grid grid{};
  if (std::sscanf(file.metadata.at("grid").c_str(), "%dx%d", &grid.height, &grid.width) != 2) {
    throw std::runtime_error("the grid is not in the file");
  }
  return grid;
}

}  // namespace

EmulatedBackbone::EmulatedBackbone(const OnnxFile& file)
    : config_(config_of(file)),
      grid_(grid_of(file)),
      columns_(size_of(file, "patch_embed.proj.weight", 0)),
      half_(file.initializers.at("patch_embed.proj.weight").half),
      ops_(flow::cpu::CpuEngine(1, "").open()) {
  GraphWeights weights(file, config_, grid_);
  vit_ = std::make_unique<flow::Vit>(*ops_, config_, weights);
  plan_ = std::make_unique<flow::Vit::Plan>(vit_->plan(grid_, 1));
}

EmulatedBackbone::~EmulatedBackbone() = default;

void EmulatedBackbone::run(const void* patches, float* features) const {
  const int used = 3 * config_.patch * config_.patch;
  std::vector<float> values;
  for (int row = 0; row < rows(); row++) {
    for (int i = row * columns_; i < row * columns_ + used; i++) {
      values.push_back(half_ ? flow::from_fp16(static_cast<const std::uint16_t*>(patches)[i])
                             : static_cast<const float*>(patches)[i]);
    }
  }
  ops_->write(values, plan_->patches);
  const std::unique_ptr<flow::Memory> memory = ops_->allocate(sizeof(float) * static_cast<std::size_t>(rows() * dim()));
  const flow::RealMatrix out{memory->data(), rows(), dim(), dim()};
  vit_->encode(*plan_, {&out, 1}, nullptr);
  ops_->finish();
  ops_->read(out, {features, static_cast<std::size_t>(rows() * dim())});
}

}  // namespace nvinfer_emu

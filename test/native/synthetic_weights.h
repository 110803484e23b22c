#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "ops/error.h"
#include "weights/weight_source.h"

namespace flow {

/// The synthetic checkpoints of test/support/synthetic-checkpoint.mjs, computed when they are asked for, so that a
/// model of any size needs no file:
///
///     value(name, i) = centre + spread * u,   u = (splitmix64(fnv1a64(name) + i) >> 40) / 2^23 - 1,   as float32
class SyntheticWeights : public WeightSource {
 public:
  using Shape = std::vector<int>;

  static SyntheticWeights backbone(const BackboneConfig& config) {
    SyntheticWeights w;
    const int dim = config.dim, hidden = config.hidden;
    w.add("cls_token", {1, 1, dim});
    if (config.storage_tokens > 0) w.add("storage_tokens", {1, config.storage_tokens, dim});
    w.add("mask_token", {1, dim});
    w.add("patch_embed.proj.weight", {dim, 3, config.patch, config.patch});
    w.add("patch_embed.proj.bias", {dim});
    w.add("rope_embed.periods", {config.head_dim() / 4});
    for (int i = 0; i < config.depth; i++) {
      const std::string block = "blocks." + std::to_string(i) + ".";
      w.add_affine(block + "norm1", {dim});
      w.add_affine(block + "attn.qkv", {3 * dim, dim});
      w.add(block + "attn.qkv.bias_mask", {3 * dim});
      w.add_affine(block + "attn.proj", {dim, dim});
      w.add(block + "ls1.gamma", {dim});
      w.add_affine(block + "norm2", {dim});
      const bool gated = config.ffn == BackboneConfig::Ffn::swiglu;
      w.add_affine(block + (gated ? "mlp.w1" : "mlp.fc1"), {hidden, dim});
      if (gated) w.add_affine(block + "mlp.w2", {hidden, dim});
      w.add_affine(block + (gated ? "mlp.w3" : "mlp.fc2"), {dim, hidden});
      w.add(block + "ls2.gamma", {dim});
    }
    w.add_affine("norm", {dim});
    return w;
  }

  /// `channels` is the width of the features.
  static SyntheticWeights head(const HeadConfig& config, int channels) {
    SyntheticWeights w;
    const int f = config.fusion;
    for (const std::string n : {"1", "2"}) {
      w.add("proj" + n + ".weight", {config.proj, channels, 1, 1});
      w.add_batch_norm("bn" + n, config.proj);
    }
    w.add_separable("fuse_in.0", config.fused(), f);
    w.add_squeeze_excite("fuse_in.1", f);
    w.add_trunk("fuse_trunk.net.", config.layers, f);
    w.add_separable("flow_head.0", f, f);
    w.add_affine("flow_head.1", {2, f, 1, 1});
    if (config.refine > 0) {
      w.add_separable("refine.0", f + 2, f);
      w.add_trunk("refine.1.net.", config.refine, f);
      w.add_affine("refine.2", {2, f, 1, 1});
    }
    w.add_affine("convex_upsampler.mask_head.0", {f, f, 3, 3});
    w.add_affine("convex_upsampler.mask_head.2", {9 * config.up * config.up, f, 1, 1});
    return w;
  }

  const std::map<std::string, Shape>& shapes() const { return shapes_; }

  bool has(const std::string& name) const override { return shapes_.contains(name); }
  int extent(const std::string& name, std::size_t axis) const override { return shape_of(name).at(axis); }

  std::vector<float> read(const std::string& name, std::size_t count) override {
    const Shape& shape = shape_of(name);
    if (product(shape.begin(), shape.end()) != count) {
      throw Error(ErrorCode::checkpoint_tensor, "weight \"" + name + "\" has not " + std::to_string(count) + " values");
    }
    std::vector<float> values(count);
    if (name.ends_with(".bias_mask")) {  // 0 for the k of q, k, v
      for (std::size_t i = 0; i < count; i++) values[i] = i / (count / 3) == 1 ? 0.F : 1.F;
    } else if (name == "rope_embed.periods") {  // the exponent is a float32, as PyTorch computes it
      for (std::size_t i = 0; i < count; i++) {
        values[i] = static_cast<float>(std::pow(100., static_cast<float>(static_cast<double>(i) / count)));
      }
    } else {
      const Distribution d = distribution(name, shape);
      const std::uint64_t seed = fnv1a64(name);
      for (std::size_t i = 0; i < count; i++) {
        const double u = static_cast<double>(splitmix64(seed + i) >> 40U) / (1 << 23) - 1;
        values[i] = static_cast<float>(d.centre + d.spread * u);
      }
    }
    return values;
  }

 private:
  struct Distribution {
    double centre, spread;
  };

  void add(const std::string& name, Shape shape) { shapes_.emplace(name, std::move(shape)); }
  /// A weight, and a bias for each of its outputs.
  void add_affine(const std::string& name, const Shape& weight) {
    add(name + ".weight", weight);
    add(name + ".bias", {weight.front()});
  }
  void add_batch_norm(const std::string& name, int channels) {
    add_affine(name, {channels});
    add(name + ".running_mean", {channels});
    add(name + ".running_var", {channels});
  }
  void add_separable(const std::string& name, int in, int out) {
    add(name + ".dw.weight", {in, 1, 3, 3});
    add(name + ".pw.weight", {out, in, 1, 1});
    add_batch_norm(name + ".bn", out);
  }
  void add_squeeze_excite(const std::string& name, int channels) {
    const int squeezed = std::max(1, channels / 8);
    add_affine(name + ".fc1", {squeezed, channels, 1, 1});
    add_affine(name + ".fc2", {channels, squeezed, 1, 1});
  }
  void add_trunk(const std::string& prefix, int groups, int channels) {
    for (int i = 0; i < groups; i++) {
      add_separable(prefix + std::to_string(3 * i), channels, channels);
      add_squeeze_excite(prefix + std::to_string(3 * i + 1), channels);
      add_separable(prefix + std::to_string(3 * i + 2), channels, channels);
    }
  }

  const Shape& shape_of(const std::string& name) const {
    const auto found = shapes_.find(name);
    if (found == shapes_.end()) throw Error(ErrorCode::checkpoint_tensor, "weight \"" + name + "\" is missing");
    return found->second;
  }

  static std::size_t product(Shape::const_iterator first, Shape::const_iterator last) {
    std::size_t result = 1;
    for (; first != last; ++first) result *= static_cast<std::size_t>(*first);
    return result;
  }

  /// Chosen so that activations stay of the order of 1 through any depth.
  static Distribution distribution(const std::string& name, const Shape& shape) {
    const std::size_t last = name.rfind('.');
    const std::string leaf = last == std::string::npos ? name : name.substr(last + 1);
    const std::string parent = last == std::string::npos ? "" : name.substr(0, last);
    const std::string layer = parent.substr(parent.rfind('.') + 1);  // npos + 1 is 0
    if (leaf.ends_with("_token") || leaf.ends_with("_tokens")) return {0, .5};
    if (leaf == "gamma") return {.3, .2};
    if (leaf == "running_var") return {1, .5};
    if (leaf == "bias" || leaf == "running_mean") return {0, .2};
    if (layer.starts_with("norm") || layer.starts_with("bn")) return {1, .3};
    const bool separable = layer == "dw" || layer == "pw";
    const double gain = separable ? 1.5 : name.find("mask_head.") != std::string::npos ? 2 : 1;
    return {0, gain * std::sqrt(3. / static_cast<double>(product(shape.begin() + 1, shape.end())))};
  }

  static std::uint64_t fnv1a64(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
  }

  static std::uint64_t splitmix64(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30U) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27U) * 0x94d049bb133111eb;
    return x ^ x >> 31U;
  }

  std::map<std::string, Shape> shapes_;
};

}  // namespace flow

#include "cpu/pack.h"

#include <algorithm>

namespace flow::cpu {

namespace {

/// One output channel of some weights; a column of zeros if `weights` is null.
struct Column {
  const LinearWeights* weights = nullptr;
  int channel = 0;
};

/// `column(panel, lane)` returns the channel of a panel's lane. `source_k(k)` returns the place of step k's weight in a
/// channel's row.
template <class ColumnOf, class SourceK>
std::unique_ptr<PackedPanels> pack(int panels, int k, int lanes, const ColumnOf& column, const SourceK& source_k) {
  const int width = 2 * lanes;
  auto packed = std::make_unique<PackedPanels>();
  packed->count = panels;
  packed->k = k;
  packed->data = AlignedFloats(static_cast<std::size_t>(panels) * k * width);
  packed->bias = AlignedFloats(static_cast<std::size_t>(panels) * width);
  for (int p = 0; p < panels; p++) {
    for (int lane = 0; lane < width; lane++) {
      const Column from = column(p, lane);
      if (from.weights == nullptr) continue;
      const LinearWeights& w = *from.weights;
      const float gain = w.gain.empty() ? 1.F : w.gain[from.channel];
      const float* row = w.weight.data() + static_cast<std::size_t>(from.channel) * k;
      float* to = packed->data.data() + static_cast<std::size_t>(p) * k * width + lane;
      for (int i = 0; i < k; i++) to[static_cast<std::size_t>(i) * width] = gain * row[source_k(i)];
      packed->bias.data()[p * width + lane] = w.bias.empty() ? 0.F : gain * w.bias[from.channel];
    }
  }
  return packed;
}

int identity(int k) { return k; }

Column plain_column(const LinearWeights& weights, int channel) {
  return channel < weights.out ? Column{&weights, channel} : Column{};
}

}  // namespace

AlignedFloats padded(std::span<const float> values) {
  AlignedFloats copy((values.size() + widest_panel - 1) / widest_panel * widest_panel);
  std::copy(values.begin(), values.end(), copy.data());
  return copy;
}

std::unique_ptr<PackedNorm> pack_norm(const NormWeights& weights) {
  auto packed = std::make_unique<PackedNorm>();
  packed->gamma = padded(weights.gamma);
  packed->beta = padded(weights.beta);
  packed->epsilon = weights.epsilon;
  return packed;
}

std::unique_ptr<PackedPanels> pack_panels(const LinearWeights& weights, int lanes) {
  const int width = 2 * lanes;
  return pack(
      ceil_div(weights.out, width), weights.in, lanes,
      [&](int panel, int lane) { return plain_column(weights, panel * width + lane); }, identity);
}

std::unique_ptr<PackedPanels> pack_qkv_panels(const LinearWeights& weights, int heads, int lanes) {
  const int dim = weights.out / 3, head_dim = dim / heads, half = head_dim / 2, per_head = ceil_div(half, lanes);
  return pack(
      3 * heads * per_head, weights.in, lanes,
      [&](int panel, int lane) {
        const int part = panel / (per_head * heads), head = panel / per_head % heads;
        const int d = panel % per_head * lanes + lane % lanes;
        if (d >= half) return Column{};
        return Column{&weights, part * dim + head * head_dim + lane / lanes * half + d};
      },
      identity);
}

std::unique_ptr<PackedPanels> pack_swiglu_panels(const LinearWeights& gate, const LinearWeights& up, int lanes) {
  return pack(
      ceil_div(gate.out, lanes), gate.in, lanes,
      [&](int panel, int lane) { return plain_column(lane < lanes ? gate : up, panel * lanes + lane % lanes); },
      identity);
}

std::unique_ptr<PackedPanels> pack_conv3x3_panels(const LinearWeights& weights, int lanes) {
  const int width = 2 * lanes, in = weights.in;
  return pack(
      ceil_div(weights.out, width), 9 * in, lanes,
      [&](int panel, int lane) { return plain_column(weights, panel * width + lane); },
      [&](int k) { return k % in * 9 + k / in; });
}

std::unique_ptr<PackedDepthwise> pack_depthwise_taps(std::span<const float> weight, int channels) {
  auto packed = std::make_unique<PackedDepthwise>();
  packed->channels = channels;
  packed->stride = round_up(channels, widest_panel);
  packed->taps = AlignedFloats(std::size_t{9} * packed->stride);
  for (int c = 0; c < channels; c++) {
    for (int t = 0; t < 9; t++) packed->taps.data()[t * packed->stride + c] = weight[c * 9 + t];
  }
  return packed;
}

std::unique_ptr<PackedSqueezeExcite> pack_se(const SqueezeExciteWeights& weights) {
  auto packed = std::make_unique<PackedSqueezeExcite>();
  packed->channels = weights.fc1.in;
  packed->reduced = weights.fc1.out;
  packed->fc1 = padded(weights.fc1.weight);
  packed->bias1 = padded(weights.fc1.bias);
  packed->fc2 = padded(weights.fc2.weight);
  packed->bias2 = padded(weights.fc2.bias);
  packed->hidden = AlignedFloats(weights.fc1.out);
  packed->scale = AlignedFloats(round_up(weights.fc1.in, widest_panel));
  return packed;
}

}  // namespace flow::cpu

#include "cuda/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <vector>

#include "cuda/copy.h"
#include "kernels/attention.h"
#include "kernels/mask_upsample.h"
#include "ops/error.h"
#include "ops/half.h"

namespace flow::cuda {

namespace {

using kernels::column_group;
using kernels::round_up;

/// Rows of GEMM weights are padded to a multiple of this: whole tiles may be read.
constexpr int row_group = 64;

/// One output channel of some weights; a row of zeros if `weights` is null.
struct Row {
  const LinearWeights* weights = nullptr;
  int channel = 0;
};

int as_is(int k) { return k; }

Row plain_row(const LinearWeights& weights, int channel) {
  return channel < weights.out ? Row{&weights, channel} : Row{};
}

/// Brings weights into the range of float16: divides them by a power of two, which is returned. It is 1 if none is
/// above 65504, and the largest is well above 2^-14, below which float16 loses digits. Throws Error(precision) if the
/// largest is so large that weights of the order of 1 would lose digits.
float fit_into_fp16(std::vector<float>& weights) {
  constexpr float well_above = 0x1p-7F, most = 0x1p27F;
  constexpr int last_exponent = 14;  // of numbers just below 2^15
  float largest = 0;
  for (const float w : weights) largest = std::max(largest, std::abs(w));
  if (largest == 0 || (largest >= well_above && largest <= largest_fp16)) return 1;
  if (largest > most) {
    throw Error(ErrorCode::precision,
                "a weight is beyond the range of precision 'fp16': load the model with 'bf16' or "
                "'fp32'");
  }
  const int exponent = std::ilogb(largest);
  const float scale = std::ldexp(1.F, largest > largest_fp16 ? exponent - last_exponent : exponent + 1);
  for (float& w : weights) w /= scale;
  return scale;
}

/// For each column of a product, the sum of the k weights of its row, times `scale`. `operands` are the rounded
/// weights.
std::vector<float> row_sums(Precision precision, std::span<const std::byte> operands, int k, float scale) {
  std::vector<float> values(operands.size() / bytes_of(precision));
  from_operands(precision, operands.data(), values);
  std::vector<float> sums(values.size() / static_cast<std::size_t>(k));
  for (std::size_t column = 0; column < sums.size(); column++) {
    const auto row = values.begin() + static_cast<std::ptrdiff_t>(kernels::gemm_row(static_cast<int>(column))) * k;
    sums[column] = static_cast<float>(scale * std::accumulate(row, row + k, 0.));
  }
  return sums;
}

}  // namespace

void to_operands(Precision precision, std::span<const float> values, void* operands) {
  if (precision == Precision::fp32) {
    std::memcpy(operands, values.data(), values.size_bytes());
    return;
  }
  auto* to = static_cast<std::uint16_t*>(operands);
  std::ranges::transform(values, to, precision == Precision::fp16 ? to_fp16 : to_bf16);
}

void from_operands(Precision precision, const void* operands, std::span<float> values) {
  if (precision == Precision::fp32) {
    std::memcpy(values.data(), operands, values.size_bytes());
    return;
  }
  const std::span from(static_cast<const std::uint16_t*>(operands), values.size());
  std::ranges::transform(from, values.begin(), precision == Precision::fp16 ? from_fp16 : from_bf16);
}

std::unique_ptr<DeviceMemory> Packer::upload_bytes(const void* data, std::size_t bytes, std::size_t room) const {
  auto memory = std::make_unique<DeviceMemory>(room, stream_);
  copy_to_device(data, bytes, memory->data(), stream_);
  stream_.synchronize();
  return memory;
}

std::unique_ptr<DeviceMemory> Packer::upload(std::span<const float> values, std::size_t count) const {
  return upload_bytes(values.data(), values.size_bytes(), sizeof(float) * std::max(count, values.size()));
}

/// `row_of(j)` returns the channel of column j of the product, `place_of(j)` where the row of its weights is.
/// `source_of_k(k)` returns the place of step k's weight in a channel's row, or -1 for a zero. W (gamma z + beta) + b =
/// (W gamma) z + (W beta + b), for a normalised z.
template <class RowOf, class SourceOfK>
std::unique_ptr<PackedMatrix> Packer::matrix(int rows, int k, const RowOf& row_of, const SourceOfK& source_of_k,
                                             const NormWeights* norm, int (*place_of)(int)) {
  auto packed = std::make_unique<PackedMatrix>();
  const int padded_rows = round_up(rows, row_group);
  packed->n = rows;
  packed->k = round_up(k, column_group);
  std::vector<float> weights(static_cast<std::size_t>(padded_rows) * packed->k);
  std::vector<float> bias(static_cast<std::size_t>(padded_rows)), gain;
  for (int j = 0; j < rows; j++) {
    const Row row = row_of(j);
    if (row.weights == nullptr) continue;
    const LinearWeights& w = *row.weights;
    const std::size_t in_row = w.weight.size() / static_cast<std::size_t>(w.out);
    const float* from = w.weight.data() + static_cast<std::size_t>(row.channel) * in_row;
    float* to = weights.data() + static_cast<std::size_t>(place_of(j)) * packed->k;
    for (int i = 0; i < k; i++) {
      if (const int source = source_of_k(i); source >= 0) to[i] = from[source];
    }
    if (!w.bias.empty()) bias[j] = w.bias[row.channel];
    if (norm != nullptr) {
      bias[j] = static_cast<float>(std::inner_product(from, from + k, norm->beta.begin(), double{bias[j]}));
      std::transform(to, to + k, norm->gamma.begin(), to, std::multiplies<>());
    }
    if (!w.gain.empty()) {
      gain.resize(padded_rows, 1.F);
      gain[j] = w.gain[row.channel];
    }
  }
  if (precision_ == Precision::fp16) packed->weight_scale = fit_into_fp16(weights);
  std::vector<std::byte> operands(weights.size() * bytes_of(precision_));
  to_operands(precision_, weights, operands.data());
  packed->weights = upload_bytes(operands.data(), operands.size(), operands.size());
  packed->excess = excess_.add(static_cast<int>(packed->out_scale.size()));
  std::erase_if(stored_, [](const Stored& stored) { return stored.weights.expired(); });
  if (norm != nullptr) {
    packed->norm = product_norm(*norm);
    packed->norm->sums = upload(row_sums(precision_, operands, packed->k, packed->weight_scale));
  }
  stored_.push_back(
      {packed->weights, operands.size(), packed->norm ? packed->norm->sums : nullptr, packed->k, packed->weight_scale});
  packed->bias = upload(bias);
  if (!gain.empty()) packed->gain = upload(gain);
  return packed;
}

void Packer::convert(Precision precision) {
  for (const Stored& stored : stored_) {
    const auto weights = stored.weights.lock();
    if (!weights) continue;
    std::vector<std::byte> operands(stored.bytes);
    std::vector<float> values(stored.bytes / bytes_of(precision_));
    copy_to_host(weights->data(), operands.size(), operands.data(), stream_);
    stream_.synchronize();
    from_operands(precision_, operands.data(), values);
    to_operands(precision, values, operands.data());
    copy_to_device(operands.data(), operands.size(), weights->data(), stream_);
    stream_.synchronize();
    if (const auto sums = stored.sums.lock()) {
      const auto rounded = row_sums(precision, operands, stored.k, stored.scale);
      copy_to_device(rounded.data(), rounded.size() * sizeof(float), sums->data(), stream_);
      stream_.synchronize();
    }
  }
  precision_ = precision;
}

PackedPtr Packer::values(std::span<const float> values) const {
  auto packed = std::make_unique<PackedFloats>();
  packed->values = upload(values);
  packed->count = static_cast<int>(values.size());
  return packed;
}

std::unique_ptr<PackedNorm> Packer::norm(const NormWeights& weights) const {
  auto packed = std::make_unique<PackedNorm>();
  const std::size_t padded = round_up(static_cast<int>(weights.gamma.size()), column_group);
  packed->gamma = upload(weights.gamma, padded);
  packed->beta = upload(weights.beta, padded);
  packed->epsilon = weights.epsilon;
  packed->excess = excess_.add(1);
  return packed;
}

std::unique_ptr<ProductNorm> Packer::product_norm(const NormWeights& weights) const {
  const std::vector<float> ones(weights.gamma.size(), 1.F), zeros(ones.size());
  auto packed = std::make_unique<ProductNorm>();
  packed->plain = norm({ones, zeros, weights.epsilon});
  packed->cols = static_cast<int>(ones.size());
  return packed;
}

PackedPtr Packer::norm_linear(const NormWeights& norm, const LinearWeights& weights) {
  return matrix(
      weights.out, weights.in, [&](int j) { return plain_row(weights, j); }, as_is, &norm);
}

PackedPtr Packer::linear(const LinearWeights& weights) {
  return matrix(
      weights.out, weights.in, [&](int j) { return plain_row(weights, j); }, as_is);
}

PackedPtr Packer::flow(const LinearWeights& weights) const {
  auto packed = std::make_unique<PackedFlow>();
  const int stride = packed->stride = round_up(weights.in, column_group);
  std::vector<float> rows(2 * static_cast<std::size_t>(stride));
  for (int j = 0; j < 2; j++) {
    std::copy_n(weights.weight.data() + static_cast<std::ptrdiff_t>(j) * weights.in, weights.in,
                rows.data() + static_cast<std::ptrdiff_t>(j) * packed->stride);
  }
  packed->weight = upload(rows);
  packed->bias = upload(weights.bias, 2);
  return packed;
}

PackedPtr Packer::qkv(const NormWeights& norm, const LinearWeights& weights, int heads) {
  const int dim = weights.out / 3, head_dim = dim / heads, half = head_dim / 2;
  const int padded = kernels::padded_head_dim(head_dim);
  const auto row_of = [&](int j) {
    const int part = j / (heads * padded), head = j / padded % heads, d = j % padded;
    const int first = part * dim + head * head_dim;
    if (part == 2) return d < head_dim ? Row{&weights, first + d} : Row{};
    const int pair = d / 4 * 2 + d % 2;  // kernels::QkvOutput
    if (pair >= half) return Row{};
    return Row{&weights, first + (d % 4 < 2 ? pair : half + pair)};
  };
  return matrix(3 * heads * padded, weights.in, row_of, as_is, &norm);
}

PackedPtr Packer::rope(std::span<const float> cos, std::span<const float> sin, int half_dim) const {
  const int padded = kernels::padded_head_dim(2 * half_dim) / 2;
  const auto pad = [&](std::span<const float> table, float beyond) {
    const std::size_t rows = table.size() / static_cast<std::size_t>(half_dim);
    std::vector<float> wide(rows * padded, beyond);
    for (std::size_t r = 0; r < rows; r++) std::copy_n(table.data() + r * half_dim, half_dim, wide.data() + r * padded);
    return upload(wide);
  };
  auto packed = std::make_unique<PackedRope>();
  packed->cos = pad(cos, 1.F);
  packed->sin = pad(sin, 0.F);
  return packed;
}

PackedPtr Packer::swiglu(const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up) {
  const auto row_of = [&](int j) {
    const kernels::SwigluColumn column = kernels::swiglu_column(j);
    return plain_row(column.is_up ? up : gate, column.hidden);
  };
  return matrix(2 * round_up(gate.out, 16), gate.in, row_of, as_is, &norm);
}

PackedPtr Packer::depthwise(std::span<const float> weight, int channels) const {
  auto packed = std::make_unique<PackedDepthwise>();
  packed->stride = round_up(channels, column_group);
  std::vector<float> taps;
  taps.resize(std::size_t{9} * packed->stride, 0.F);
  for (int c = 0; c < channels; c++) {
    for (int t = 0; t < 9; t++) taps[static_cast<std::size_t>(t) * packed->stride + c] = weight[c * 9 + t];
  }
  packed->taps = upload(taps);
  return packed;
}

PackedPtr Packer::conv3x3(const LinearWeights& weights) {
  const int channels = round_up(weights.in, column_group);
  auto packed = matrix(
      weights.out, 9 * channels, [&](int j) { return plain_row(weights, j); },
      [&](int k) { return k % channels < weights.in ? k % channels * 9 + k / channels : -1; });
  packed->channels = channels;
  return packed;
}

PackedPtr Packer::squeeze_excite(const SqueezeExciteWeights& weights) const {
  auto packed = std::make_unique<PackedSqueezeExcite>();
  packed->channels = weights.fc1.in;
  packed->reduced = weights.fc1.out;
  packed->fc1 = upload(weights.fc1.weight);
  packed->bias1 = upload(weights.fc1.bias);
  std::vector<float> fc2(weights.fc2.weight.size());
  for (int c = 0; c < packed->channels; c++) {
    for (int r = 0; r < packed->reduced; r++) {
      fc2[static_cast<std::size_t>(r) * packed->channels + c] = weights.fc2.weight[c * packed->reduced + r];
    }
  }
  packed->fc2 = upload(fc2);
  packed->bias2 = upload(weights.fc2.bias);
  return packed;
}

PackedPtr Packer::mask(const LinearWeights& weights, int up) {
  const int subpixels = up * up, padded = round_up(subpixels, kernels::mask_subpixels);
  const auto row_of = [&](int j) {
    const int tap = j / 8 % 9, subpixel = j / 72 * 8 + j % 8;  // kernels::MaskUpsampleParams
    return subpixel < subpixels ? Row{&weights, tap * subpixels + subpixel} : Row{};
  };
  auto packed = matrix(9 * padded, weights.in, row_of, as_is, nullptr, as_is);
  packed->up = up;
  return packed;
}

}  // namespace flow::cuda

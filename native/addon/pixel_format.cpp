#include "addon/pixel_format.h"

#include "addon/values.h"

namespace flow::addon {

namespace {

constexpr int most_step = 16, most_shift = 2;

Channel to_channel(std::span<const std::int32_t, 5> numbers) {
  const Channel channel{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
  const auto within = [](int value, int least, int most) { return value >= least && value <= most; };
  if (!within(channel.plane, 0, most_planes - 1) || !within(channel.step, 1, most_step) ||
      !within(channel.byte, 0, channel.step - 1) || !within(channel.across, 0, most_shift) ||
      !within(channel.down, 0, most_shift)) {
    reject("a channel's place is out of range");
  }
  return channel;
}

YuvToRgb to_conversion(const Napi::Value& value) {
  const auto numbers = to_elements<std::int32_t>(value, napi_int32_array, "toRgb");
  if (numbers.size() != 6) reject("toRgb has another length");
  const YuvToRgb conversion{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]};
  const bool bounded = std::ranges::all_of(
      numbers, [](int factor) { return factor >= -kernels::yuv_most && factor <= kernels::yuv_most; });
  if (!bounded || conversion.black < 0 || conversion.black > 255 || conversion.luma <= 0) {
    reject("a factor of toRgb is out of range");
  }
  return conversion;
}

}  // namespace

PixelFormat to_pixel_format(const Napi::Value& channels, const Napi::Value& to_rgb) {
  const auto numbers = to_elements<std::int32_t>(channels, napi_int32_array, "channels");
  if (numbers.size() != 15) reject("channels has another length");
  PixelFormat format{};
  for (std::size_t c = 0; c < 3; c++) {
    format.channels[c] = to_channel(std::span<const std::int32_t, 5>(numbers.subspan(5 * c, 5)));
  }
  bool used[most_planes] = {};
  for (const Channel& channel : format.channels) used[channel.plane] = true;
  for (int p = 0; p < format.plane_count(); p++) {
    if (!used[p]) reject("a plane has no channel");
  }
  if (!to_rgb.IsUndefined()) {
    format.to_rgb = to_conversion(to_rgb);
    return format;
  }
  for (const Channel& channel : format.channels) {
    if (channel.plane != 0 || channel.step != format.channels[0].step || channel.across != 0 || channel.down != 0) {
      reject("R, G and B are not interleaved");
    }
  }
  return format;
}

}  // namespace flow::addon

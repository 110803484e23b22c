#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "kernels/frame.h"

namespace flow {

using kernels::YuvToRgb;

/// Where the samples of a channel are: byte `byte` of every `step` bytes in the rows of plane `plane`. 2^across x
/// 2^down pixels share a sample.
struct Channel {
  int plane, byte, step;
  int across = 0, down = 0;

  bool operator==(const Channel&) const = default;
};

/// How the bytes of a frame become pixels. Channels are R, G, B or, with `to_rgb`, Y, U, V. R, G and B are in one
/// plane, with the same steps.
struct PixelFormat {
  std::array<Channel, 3> channels;
  YuvToRgb to_rgb = {};

  bool is_yuv() const { return to_rgb.luma != 0; }
  int plane_count() const { return 1 + std::ranges::max(channels, {}, &Channel::plane).plane; }
  bool operator==(const PixelFormat&) const = default;
};

/// R, G and B as bytes of a pixel of `step` bytes.
constexpr PixelFormat interleaved(int step, int red, int green, int blue) {
  return {{Channel{0, red, step}, Channel{0, green, step}, Channel{0, blue, step}}};
}

constexpr int most_planes = 3;

/// In bytes: from the frame's `data` to the first row, and from one row to the next.
struct FramePlane {
  std::ptrdiff_t offset, stride;

  bool operator==(const FramePlane&) const = default;
};

/// A frame in the caller's memory, read in place.
struct Frame {
  const std::uint8_t* data;
  int width;
  int height;
  PixelFormat format;
  std::array<FramePlane, most_planes> planes;  // the first format.plane_count() of them

  bool operator==(const Frame&) const = default;
};

/// The samples of a plane, without the padding between rows.
struct PlaneSize {
  std::ptrdiff_t row;  // bytes
  int rows;
};

inline PlaneSize size_of_plane(const Frame& frame, int plane) {
  PlaneSize size{0, 0};
  for (const Channel& channel : frame.format.channels) {
    if (channel.plane != plane) continue;
    const std::ptrdiff_t samples = ((frame.width - 1) >> channel.across) + 1;
    size.row = std::max(size.row, samples * channel.step);
    size.rows = std::max(size.rows, ((frame.height - 1) >> channel.down) + 1);
  }
  return size;
}

inline const std::uint8_t* row_of(const Frame& frame, int plane, int y) {
  const FramePlane& at = frame.planes[static_cast<std::size_t>(plane)];
  return frame.data + at.offset + y * at.stride;
}

/// The same frame at `data`, with one plane right after the other, and no padding between rows.
inline Frame tight(Frame frame, const std::uint8_t* data) {
  frame.data = data;
  std::ptrdiff_t offset = 0;
  for (int p = 0; p < frame.format.plane_count(); p++) {
    const PlaneSize size = size_of_plane(frame, p);
    frame.planes[static_cast<std::size_t>(p)] = {offset, size.row};
    offset += size.row * size.rows;
  }
  return frame;
}

/// Copies the samples of a frame to `to`, where they lie as in `tight`.
inline void copy_samples(const Frame& frame, std::uint8_t* to) {
  for (int p = 0; p < frame.format.plane_count(); p++) {
    const auto [bytes, rows] = size_of_plane(frame, p);
    const bool padded = frame.planes[static_cast<std::size_t>(p)].stride != bytes;
    const std::size_t run = static_cast<std::size_t>(bytes) * (padded ? 1 : static_cast<std::size_t>(rows));
    for (int y = 0; y < (padded ? rows : 1); y++, to += run) std::memcpy(to, row_of(frame, p, y), run);
  }
}

/// A frame of one plane, whose rows are `stride` bytes apart; 0: they have no padding.
inline Frame frame_of(const std::uint8_t* data, int width, int height, std::ptrdiff_t stride = 0,
                      const PixelFormat& format = interleaved(3, 0, 1, 2)) {
  Frame frame = tight({data, width, height, format, {}}, data);
  if (stride != 0) frame.planes[0].stride = stride;
  return frame;
}

/// The bytes from a frame's `data` to the end of its last row.
inline std::span<const std::byte> bytes_of(const Frame& frame) {
  std::ptrdiff_t end = 0;
  for (int p = 0; p < frame.format.plane_count(); p++) {
    const PlaneSize size = size_of_plane(frame, p);
    const FramePlane& plane = frame.planes[static_cast<std::size_t>(p)];
    end = std::max(end, plane.offset + (size.rows - 1) * plane.stride + size.row);
  }
  return {reinterpret_cast<const std::byte*>(frame.data), static_cast<std::size_t>(end)};
}

/// The frame as a reader of pixels takes it.
inline kernels::FrameView view_of(const Frame& frame) {
  kernels::FrameView view{frame.data, frame.width, frame.height, {}, frame.format.to_rgb};
  for (std::size_t c = 0; c < 3; c++) {
    const Channel& channel = frame.format.channels[c];
    const FramePlane& plane = frame.planes[static_cast<std::size_t>(channel.plane)];
    view.channels[c] = {plane.offset + channel.byte, plane.stride, channel.step, channel.across, channel.down};
  }
  return view;
}

}  // namespace flow

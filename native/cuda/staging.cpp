#include "cuda/staging.h"

#include <cstring>
#include <vector>

#include "cuda/copy.h"
#include "cuda/in_place.h"
#include "engine/known_memory.h"
#include "ops/resize_taps.h"

namespace flow::cuda {

namespace {

/// Kernels write their results as vectors of this many bytes.
constexpr std::uintptr_t alignment = 16;

kernels::ResizeTap* find_taps(int from, int to, kernels::ResizeTap* at) {
  std::vector<ResizeTap> taps(static_cast<std::size_t>(to));
  find_resize_taps(from, taps);
  for (const ResizeTap& tap : taps) *at++ = {tap.first, tap.second, {tap.weight[0], tap.weight[1]}};
  return at;
}

}  // namespace

// ---- SharedBuffer ---------------------------------------------------------------------------------------------------

SharedBuffer::SharedBuffer(const Stream& stream) : stream_(stream), one_memory_(computes_in_place(stream.context())) {}

void SharedBuffer::reserve(std::size_t bytes, Sides sides) {
  if ((one_memory_ || sides == Sides::both) && (!host_ || host_->size() < bytes)) {
    if (one_memory_) device_address_ = nullptr;
    host_.reset();
    host_ = std::make_unique<PinnedMemory>(stream_.context(), bytes);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's addresses are integers
    if (one_memory_) device_address_ = reinterpret_cast<std::byte*>(host_->device_pointer());
  }
  if (!one_memory_ && (!device_ || device_bytes_ < bytes)) {
    device_address_ = nullptr;
    device_.reset();
    device_ = std::make_unique<DeviceMemory>(bytes, stream_);
    device_address_ = static_cast<std::byte*>(device_->data());
    device_bytes_ = bytes;
  }
}

void SharedBuffer::to_device(std::size_t bytes) {
  if (!one_memory_) copy_to_device(host_->data(), bytes, device_address_, stream_);
}

// ---- StagedFrame ----------------------------------------------------------------------------------------------------

Frame StagedFrame::put(const Frame& frame, int height, int width) {
  staged_ = {};
  resized_ = frame.height != height || frame.width != width;
  if (resized_) put_taps(frame, height, width);
  const Frame on_device = put_pixels(frame);
  copied_.record(stream_);
  staged_ = on_device;
  return staged_;
}

void StagedFrame::put_taps(const Frame& frame, int height, int width) {
  const bool known = frame.height == from_height_ && frame.width == from_width_ && height == height_ && width == width_;
  if (known) return;
  from_height_ = 0;  // no taps are valid if an allocation below throws
  const std::size_t bytes =
      sizeof(kernels::ResizeTap) * (static_cast<std::size_t>(height) + static_cast<std::size_t>(width));
  taps_.reserve(bytes);
  auto* const across = reinterpret_cast<kernels::ResizeTap*>(taps_.host());
  find_taps(frame.height, height, find_taps(frame.width, width, across));
  taps_.to_device(bytes);
  from_height_ = frame.height, from_width_ = frame.width, height_ = height, width_ = width;
}

Frame StagedFrame::put_pixels(const Frame& frame) {
  const MemoryPtr memory = holding(bytes_of(frame));
  if (memory && memory->device() != Memory::host) return frame;
  const auto block = std::dynamic_pointer_cast<const HostBlock>(memory);
  if (block && computes_in_place(stream_.context())) {
    Frame in_place = frame;
    in_place.data = reinterpret_cast<const std::uint8_t*>(block->device_address(frame.data));
    return in_place;
  }
  const bool direct = block && frame == tight(frame, frame.data);
  const std::size_t bytes = bytes_of(tight(frame, nullptr)).size();
  pixels_.reserve(bytes, direct ? SharedBuffer::Sides::device : SharedBuffer::Sides::both);
  if (direct) {
    copy_to_device(frame.data, bytes, pixels_.device(), stream_);
  } else {
    copy_samples(frame, reinterpret_cast<std::uint8_t*>(pixels_.host()));
    pixels_.to_device(bytes);
  }
  return tight(frame, reinterpret_cast<const std::uint8_t*>(pixels_.device()));
}

// ---- HostOutput -----------------------------------------------------------------------------------------------------

std::byte* HostOutput::prepare(std::span<std::byte> host) {
  const MemoryPtr memory = holding(host);
  if (memory && memory->device() != Memory::host) {
    written_.way = Way::in_place;
    written_.host = host;
    return host.data();
  }
  const auto block = std::dynamic_pointer_cast<const HostBlock>(memory);
  const bool one_memory = computes_in_place(stream_.context());
  const bool aligned = reinterpret_cast<std::uintptr_t>(host.data()) % alignment == 0;
  written_.way = !block ? Way::staged : !one_memory ? Way::direct : aligned ? Way::in_place : Way::staged;
  std::byte* at = nullptr;
  if (written_.way == Way::in_place) {
    at = block->device_address(host.data());
  } else {
    written_.reserve(host.size_bytes());
    at = written_.buffer.device();
  }
  written_.host = host;
  return at;
}

bool HostOutput::set_aside() {
  if (!written_.needs_copy()) return false;
  const std::size_t bytes = written_.host.size_bytes();
  aside_.way = written_.way;
  aside_.reserve(bytes);
  copy_on_device(written_.buffer.device(), bytes, aside_.buffer.device(), stream_);
  aside_.host = written_.host;
  return true;
}

void HostOutput::Result::reserve(std::size_t bytes) {
  buffer.reserve(bytes, way == Way::direct ? SharedBuffer::Sides::device : SharedBuffer::Sides::both);
}

bool HostOutput::Result::needs_copy() const { return !host.empty() && way != Way::in_place && !buffer.is_one_memory(); }

void HostOutput::Result::send(const Stream& by) {
  if (!needs_copy()) return;
  copy_to_host(buffer.device(), host.size_bytes(), way == Way::direct ? host.data() : buffer.host(), by);
}

void HostOutput::Result::deliver() {
  if (way == Way::staged && !host.empty()) std::memcpy(host.data(), buffer.host(), host.size_bytes());
  host = {};
}

}  // namespace flow::cuda

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

void SharedBuffer::to_host(std::size_t bytes) {
  if (!one_memory_) copy_to_host(device_address_, bytes, host_->data(), stream_);
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
    way_ = Way::in_place;
    host_ = host;
    return host.data();
  }
  const auto block = std::dynamic_pointer_cast<const HostBlock>(memory);
  const bool one_memory = computes_in_place(stream_.context());
  const bool aligned = reinterpret_cast<std::uintptr_t>(host.data()) % alignment == 0;
  way_ = !block ? Way::staged : !one_memory ? Way::direct : aligned ? Way::in_place : Way::staged;
  std::byte* at = nullptr;
  if (way_ == Way::in_place) {
    at = block->device_address(host.data());
  } else {
    buffer_.reserve(host.size_bytes(), sides());
    at = buffer_.device();
  }
  host_ = host;
  return at;
}

void HostOutput::download() {
  if (host_.empty()) return;
  if (way_ == Way::staged) buffer_.to_host(host_.size_bytes());
  if (way_ == Way::direct) copy_to_host(buffer_.device(), host_.size_bytes(), host_.data(), stream_);
}

void HostOutput::deliver() {
  if (way_ == Way::staged && !host_.empty()) std::memcpy(host_.data(), buffer_.host(), host_.size_bytes());
  host_ = {};
}

bool HostOutput::set_aside() {
  if (host_.empty() || way_ == Way::in_place || buffer_.is_one_memory()) return false;
  aside_.reserve(host_.size_bytes(), sides());
  copy_on_device(buffer_.device(), host_.size_bytes(), aside_.device(), stream_);
  sent_ = host_;
  sent_way_ = way_;
  return true;
}

void HostOutput::send(const Stream& by) {
  if (sent_.empty()) return;
  copy_to_host(aside_.device(), sent_.size_bytes(), sent_way_ == Way::direct ? sent_.data() : aside_.host(), by);
}

void HostOutput::deliver_sent() {
  if (sent_way_ == Way::staged && !sent_.empty()) std::memcpy(sent_.data(), aside_.host(), sent_.size_bytes());
  sent_ = {};
}

}  // namespace flow::cuda

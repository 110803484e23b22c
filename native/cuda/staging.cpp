#include "cuda/staging.h"

#include <cstring>
#include <vector>

#include "cuda/copy.h"
#include "ops/resize_taps.h"

namespace flow::cuda {

namespace {

void put_taps(int from, int to, kernels::ResizeTap* at) {
  std::vector<ResizeTap> taps(static_cast<std::size_t>(to));
  find_resize_taps(from, taps);
  for (const ResizeTap& tap : taps) *at++ = {tap.first, tap.second, {tap.weight[0], tap.weight[1]}};
}

}  // namespace

void SharedBuffer::reserve(std::size_t bytes) {
  if (bytes <= bytes_) return;
  bytes_ = 0;
  host_.reset();
  device_.reset();
  const ContextPtr& context = stream_.context();
  host_ = std::make_unique<PinnedMemory>(context, bytes);
  if (!context->device().integrated) device_ = std::make_unique<DeviceMemory>(bytes, stream_);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): addresses of the driver's are integers
  void* const address = device_ ? device_->data() : reinterpret_cast<void*>(host_->device_pointer());
  device_address_ = static_cast<std::byte*>(address);
  bytes_ = bytes;
}

void SharedBuffer::to_device(std::size_t bytes) {
  if (device_) copy_to_device(host_->data(), bytes, device_->data(), stream_);
}

void SharedBuffer::to_host(std::size_t bytes) {
  if (device_) copy_to_host(device_->data(), bytes, host_->data(), stream_);
}

std::size_t StagedFrame::tap_bytes() const {
  return sizeof(kernels::ResizeTap) * (static_cast<std::size_t>(height_) + static_cast<std::size_t>(width_));
}

Frame StagedFrame::put(const Frame& frame, int height, int width) {
  const bool planned =
      frame.height == from_height_ && frame.width == from_width_ && height == height_ && width == width_;
  from_height_ = 0;  // no plan, should memory run out below
  height_ = height, width_ = width;
  const auto row = static_cast<std::size_t>(row_bytes(frame.format, frame.width));
  const int rows = stored_rows(frame.format, frame.height);
  const std::byte* before = buffer_.host();
  bytes_ = tap_bytes() + row * static_cast<std::size_t>(rows);
  buffer_.reserve(bytes_);
  if (!planned || buffer_.host() != before) {
    auto* taps = reinterpret_cast<kernels::ResizeTap*>(buffer_.host());
    put_taps(frame.width, width, taps);
    put_taps(frame.height, height, taps + width);
  }
  std::byte* to = buffer_.host() + tap_bytes();
  if (frame.stride == static_cast<std::ptrdiff_t>(row)) {
    std::memcpy(to, frame.data, row * static_cast<std::size_t>(rows));
  } else {
    for (int y = 0; y < rows; y++) std::memcpy(to + y * row, frame.data + y * frame.stride, row);
  }
  from_height_ = frame.height, from_width_ = frame.width;
  return {pixels(), frame.width, frame.height, static_cast<std::ptrdiff_t>(row), frame.format};
}

std::byte* HostOutput::prepare(std::span<std::byte> host) {
  buffer_.reserve(host.size_bytes());
  host_ = host;
  return buffer_.device();
}

void HostOutput::deliver() {
  if (!host_.empty()) std::memcpy(host_.data(), buffer_.host(), host_.size_bytes());
  host_ = {};
}

}  // namespace flow::cuda

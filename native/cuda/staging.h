#pragma once

#include <memory>
#include <span>

#include "cuda/memory.h"
#include "cuda/stream.h"
#include "kernels/preprocess.h"
#include "ops/ops.h"

namespace flow::cuda {

/// Memory that both sides see: pinned on the host, and on the device a buffer of its own or, where the GPU shares the
/// host's memory (Jetson), the same bytes. It grows and never shrinks.
class SharedBuffer {
 public:
  explicit SharedBuffer(const Stream& stream) : stream_(stream) {}

  /// What was in it is lost when it grows.
  void reserve(std::size_t bytes);
  std::byte* host() const { return host_ ? static_cast<std::byte*>(host_->data()) : nullptr; }
  /// An address of the device; null before the first `reserve`.
  std::byte* device() const { return device_address_; }
  /// Enqueue copies of the first bytes; nothing where there is only one memory.
  void to_device(std::size_t bytes);
  void to_host(std::size_t bytes);

 private:
  const Stream& stream_;
  std::unique_ptr<PinnedMemory> host_;
  std::unique_ptr<DeviceMemory> device_;
  std::byte* device_address_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A frame on its way to the device, with the taps that resize it.
class StagedFrame {
 public:
  explicit StagedFrame(const Stream& stream) : buffer_(stream) {}

  /// Copies the frame's pixels, rows without padding; the result's `data` is an address of the device.
  Frame put(const Frame& frame, int height, int width);
  /// Enqueues the copy to the device.
  void upload() { buffer_.to_device(bytes_); }
  bool holds(const Frame& staged) const { return buffer_.device() != nullptr && staged.data == pixels(); }
  const kernels::ResizeTap* across() const { return reinterpret_cast<const kernels::ResizeTap*>(buffer_.device()); }
  const kernels::ResizeTap* down() const { return across() + width_; }

 private:
  std::size_t tap_bytes() const;
  const std::uint8_t* pixels() const { return reinterpret_cast<const std::uint8_t*>(buffer_.device() + tap_bytes()); }

  SharedBuffer buffer_;  // taps across, taps down, pixels
  std::size_t bytes_ = 0;
  int from_height_ = 0, from_width_ = 0, height_ = 0, width_ = 0;
};

/// A result on its way to the caller's memory.
class HostOutput {
 public:
  explicit HostOutput(const Stream& stream) : buffer_(stream) {}

  /// Where the device writes what `host` shall hold: an address of the device, aligned for any type.
  std::byte* prepare(std::span<std::byte> host);
  /// Enqueues the copy from the device, if one is due.
  void download() {
    if (!host_.empty()) buffer_.to_host(host_.size_bytes());
  }
  /// Once the copy is done: into the caller's memory.
  void deliver();
  void forget() { host_ = {}; }

 private:
  SharedBuffer buffer_;
  std::span<std::byte> host_;
};

}  // namespace flow::cuda

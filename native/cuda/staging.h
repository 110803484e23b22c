#pragma once

#include <memory>
#include <span>

#include "cuda/host_block.h"
#include "cuda/memory.h"
#include "cuda/stream.h"
#include "kernels/preprocess.h"
#include "ops/ops.h"

namespace flow::cuda {

/// Memory that both sides see: pinned on the host, and on the device a buffer of its own or, where the GPU shares the
/// host's memory (Jetson), the same bytes. It grows and never shrinks.
class SharedBuffer {
 public:
  enum class Sides { both, device };  // what is needed of it

  explicit SharedBuffer(const Stream& stream);

  /// What was in it is lost when it grows.
  void reserve(std::size_t bytes, Sides sides = Sides::both);
  std::byte* host() const { return host_ ? static_cast<std::byte*>(host_->data()) : nullptr; }
  /// An address of the device; null before the first `reserve`.
  std::byte* device() const { return device_address_; }
  /// Enqueue copies of the first bytes; nothing where there is only one memory.
  void to_device(std::size_t bytes);
  void to_host(std::size_t bytes);

 private:
  const Stream& stream_;
  bool one_memory_;
  std::unique_ptr<PinnedMemory> host_;
  std::unique_ptr<DeviceMemory> device_;
  std::byte* device_address_ = nullptr;
  std::size_t device_bytes_ = 0;
};

/// A frame on its way to the device, with the taps that resize it.
class StagedFrame {
 public:
  explicit StagedFrame(const Stream& stream) : stream_(stream), pixels_(stream), taps_(stream) {}

  /// Enqueues the copy of the frame's pixels, rows without padding, to the device; the result's `data` is an address
  /// there. A HostBlock is copied as it is, or read in place where its memory is the device's; other memory is copied
  /// to a buffer first, so that the caller's is not used after this call.
  Frame put(const Frame& frame, int height, int width);
  bool holds(const Frame& staged) const {
    return staged_.data != nullptr && staged.data == staged_.data && staged.height == staged_.height &&
           staged.width == staged_.width;
  }
  /// Addresses of the device; null for a frame that is not resized.
  const kernels::ResizeTap* across() const { return resized_ ? taps() : nullptr; }
  const kernels::ResizeTap* down() const { return resized_ ? taps() + width_ : nullptr; }
  /// Whether the taps are elsewhere than when this was asked last.
  bool taps_moved() {
    const bool moved = taps() != known_taps_;
    known_taps_ = taps();
    return moved;
  }

 private:
  void put_taps(const Frame& frame, int height, int width);
  const std::byte* put_pixels(const Frame& frame);
  const kernels::ResizeTap* taps() const { return reinterpret_cast<const kernels::ResizeTap*>(taps_.device()); }

  const Stream& stream_;
  SharedBuffer pixels_;
  SharedBuffer taps_;  // across, then down
  Frame staged_{};
  const kernels::ResizeTap* known_taps_ = nullptr;
  bool resized_ = false;
  int from_height_ = 0, from_width_ = 0, height_ = 0, width_ = 0;  // what the taps are for
};

/// A result on its way to the caller's memory.
class HostOutput {
 public:
  explicit HostOutput(const Stream& stream) : stream_(stream), buffer_(stream) {}

  /// Where the device writes what `host` shall hold: an address of the device, aligned for any type.
  std::byte* prepare(std::span<std::byte> host);
  /// Enqueues the copy from the device, if one is due.
  void download();
  /// Once the copy is done: into the caller's memory, unless it went there.
  void deliver();
  void forget() { host_ = {}; }

 private:
  enum class Way {
    staged,    // copied to page-locked memory, and from there
    direct,    // copied to the caller's HostBlock
    in_place,  // written there: its memory is the device's
  };

  const Stream& stream_;
  SharedBuffer buffer_;
  std::span<std::byte> host_;
  Way way_ = Way::staged;
};

}  // namespace flow::cuda

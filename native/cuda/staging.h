#pragma once

#include <memory>
#include <span>

#include "cuda/host_block.h"
#include "cuda/memory.h"
#include "cuda/stream.h"
#include "kernels/preprocess.h"
#include "ops/ops.h"

namespace flow::cuda {

/// A buffer that host and device both see: pinned memory on the host, and on the device a buffer of its own. If the GPU
/// shares the host's memory (Jetson), both are the same bytes. It grows and never shrinks.
class SharedBuffer {
 public:
  enum class Sides { both, device };  // the sides that need memory

  explicit SharedBuffer(const Stream& stream);

  /// Growing loses the content.
  void reserve(std::size_t bytes, Sides sides = Sides::both);
  std::byte* host() const { return host_ ? static_cast<std::byte*>(host_->data()) : nullptr; }
  bool is_one_memory() const { return one_memory_; }
  /// An address of the device; null before the first `reserve`.
  std::byte* device() const { return device_address_; }
  /// Enqueues a copy of the first `bytes` bytes; nothing if both sides are one memory.
  void to_device(std::size_t bytes);

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
  explicit StagedFrame(const Stream& stream)
      : stream_(stream), copied_(stream.context()), pixels_(stream), taps_(stream) {}

  /// Enqueues the copy of the frame's pixels to the device, without padding. `data` of the returned frame is a
  /// device address. A HostBlock is copied directly, or read in place if its memory is the device's. Other memory is
  /// copied to a staging buffer first, so the caller's memory is not used after this call. A frame in known memory of
  /// the device stays where it is.
  Frame put(const Frame& frame, int height, int width);
  bool holds(const Frame& staged) const { return staged_.data != nullptr && staged == staged_; }
  /// Device addresses; null if the frame is not resized.
  const kernels::ResizeTap* across() const { return resized_ ? taps() : nullptr; }
  const kernels::ResizeTap* down() const { return resized_ ? taps() + width_ : nullptr; }
  /// The point of the stream from which on the frame is on the device.
  const Event& copied() const { return copied_; }

 private:
  void put_taps(const Frame& frame, int height, int width);
  Frame put_pixels(const Frame& frame);
  const kernels::ResizeTap* taps() const { return reinterpret_cast<const kernels::ResizeTap*>(taps_.device()); }

  const Stream& stream_;
  Event copied_;
  SharedBuffer pixels_;
  SharedBuffer taps_;  // across, then down
  Frame staged_{};
  bool resized_ = false;
  int from_height_ = 0, from_width_ = 0, height_ = 0, width_ = 0;  // the sizes that the taps are for
};

/// A result on its way to the caller's memory, which may be known memory of the device.
///
/// It reaches the host in one of two ways: by `download` and `deliver`, or by `set_aside`, `send` and `deliver_sent`.
/// The second way copies the result on the device first, so kernels may write the next result meanwhile.
class HostOutput {
 public:
  explicit HostOutput(const Stream& stream) : stream_(stream), written_(stream), aside_(stream) {}

  /// The device address where kernels write the result that is meant for `host`; aligned for any type.
  std::byte* prepare(std::span<std::byte> host);
  /// Enqueues the copy from the device, if one is needed.
  void download() { written_.send(stream_); }
  /// Call once the copy is done: copies a staged result to the caller's memory.
  void deliver() { written_.deliver(); }
  void forget() { written_.host = {}; }

  /// Enqueues a copy to other memory of the device. Returns false, and does nothing, if there is no result, or if
  /// kernels write where the caller or the host reads. The result that was set aside before must be delivered.
  bool set_aside();
  /// Enqueues the copy to the host of what was set aside, on `by`, which must have waited for `set_aside`.
  void send(const Stream& by) { aside_.send(by); }
  /// Call once that copy is done. `prepare` and `forget` do not change what this delivers.
  void deliver_sent() { aside_.deliver(); }
  void forget_sent() { aside_.host = {}; }

 private:
  enum class Way {
    staged,    // copied to a page-locked staging buffer, then to the caller's memory
    direct,    // copied to the caller's HostBlock
    in_place,  // written by kernels to the caller's memory: the device's, or a HostBlock that the device shares
  };

  /// A result on the device, and where it goes.
  struct Result {
    explicit Result(const Stream& stream) : buffer(stream) {}

    /// Gives the buffer room for a result of that size, on the sides that it needs on its way. Set `way` first.
    void reserve(std::size_t bytes);
    bool needs_copy() const;
    void send(const Stream& by);
    void deliver();

    SharedBuffer buffer;
    std::span<std::byte> host;
    Way way = Way::staged;
  };

  const Stream& stream_;
  Result written_;  // by kernels
  Result aside_;
};

}  // namespace flow::cuda

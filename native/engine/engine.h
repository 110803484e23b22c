#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/precision.h"
#include "engine/wait.h"
#include "ops/ops.h"

namespace flow {

/// A GPU as its driver describes it.
struct GpuInfo {
  int index;
  std::string name;
  std::string compute_capability;  // "9.0"
  int multiprocessors;
  std::size_t memory;   // bytes
  bool integrated;      // its memory is the host's
  bool in_place;        // it computes in page-locked host memory instead of copying
  Wait wait;            // how the model waits for it
  std::string kernels;  // the architecture that its kernels were compiled for: "sm_86"; "compute_80" if by the driver
  int driver_version;   // 13000 is CUDA 13.0: the newest that the driver supports
};

/// Describes an engine: `gpu` for a CUDA engine, `instruction_set` and `threads` for a CPU engine.
struct EngineInfo {
  Precision precision = Precision::fp32;  // when opened; Ops may widen it
  std::string instruction_set = {};
  int threads = 0;
  std::optional<GpuInfo> gpu = {};
};

/// Memory of a GPU as another process finds it.
struct SharedBytes {
  std::string gpu;  // the driver's identifier of the device, on every machine another: "GPU-..."
  std::array<std::uint8_t, 64> allocation;  // the driver's name for the allocation
  std::size_t offset;                       // bytes from the begin of the allocation
  std::size_t bytes;
};

/// A device that was found usable, and how to use it. Immutable; any thread may use it.
///
/// To add an engine: implement this class and `Ops`, and let `open_engine` choose it.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual EngineInfo describe() const = 0;
  /// The stages on this device. For one thread at a time. Throws Error(device), Error(out_of_memory).
  virtual std::unique_ptr<Ops> open() const = 0;
  /// Host memory for frames and results that the device reads and writes directly. Null if ordinary memory serves as
  /// well. Throws Error(out_of_memory).
  virtual MemoryPtr allocate_host(std::size_t bytes) const = 0;
  /// Memory of the device, for tensors. Null if the device's memory is the host's. Throws Error(device),
  /// Error(out_of_memory).
  virtual MemoryPtr allocate_device(std::size_t bytes) const = 0;
  /// The block of the device's memory that contains all of `bytes`, allocated by other code of this process and known
  /// from now on. Its owner keeps it until the returned pointer is gone. Throws Error(argument) if the engine cannot
  /// compute in it.
  virtual MemoryPtr adopt(std::span<const std::byte> bytes) const = 0;
  /// What another process needs to open these bytes of the device's memory. They stay as long as their owner keeps
  /// them, whoever has opened them. Throws Error(argument) for memory that cannot be shared, Error(device) for a device
  /// that shares none.
  virtual SharedBytes share(std::span<const std::byte> bytes) const = 0;
  /// The block that contains the bytes that another process has shared, known from now on. It is closed with the
  /// object. Throws Error(argument) for memory of another device or of this process, or that is gone; Error(device).
  virtual MemoryPtr open_shared(const SharedBytes& shared) const = 0;
  /// The point in a stream of other code of this process, whose handle is that of the device's driver, that the stream
  /// has reached when its present work is done. The stream lives until the returned pointer is gone. Throws
  /// Error(argument) if the device has no such stream.
  virtual OtherStreamPtr mark(std::uint64_t stream) const = 0;
};

using EnginePtr = std::shared_ptr<const Engine>;

}  // namespace flow

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cpu/kernels.h"
#include "cuda/device.h"
#include "cuda/precision.h"
#include "ops/ops.h"

namespace flow::addon {

enum class Device { automatic, cpu, cuda };

/// What was asked for.
struct EngineChoice {
  Device device;
  int cuda_index;                            // of Device::cuda
  std::optional<cuda::Precision> precision;  // none: the fastest that the engine computes well in
  int threads;                               // of the CPU engine; 0: one per physical core
  const cpu::Kernels* kernels;               // of the CPU engine

  /// Whether the CPU will do where no GPU can be used.
  bool may_use_cpu() const {
    return device == Device::automatic && precision.value_or(cuda::Precision::fp32) == cuda::Precision::fp32;
  }
};

/// What an engine says about itself.
struct EngineInfo {
  std::string instruction_set;  // of the CPU engine, as are threads
  int threads = 0;
  const char* precision = "fp32";
  std::optional<cuda::DeviceInfo> gpu;
  std::string gpu_unused;  // why Device::automatic is not a GPU
};

struct Engine {
  std::unique_ptr<Ops> ops;
  EngineInfo info;
};

/// Throws Error(device) where a GPU was asked for and cannot be used, Error(argument) for a precision that the CPU
/// lacks.
Engine make_engine(const EngineChoice& choice);

/// Throws Error(argument) for a precision that the CPU lacks.
Engine make_cpu_engine(const EngineChoice& choice, std::string gpu_unused = {});

}  // namespace flow::addon

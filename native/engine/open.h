#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/engine.h"

namespace flow {

/// The engine that the caller asked for.
struct EngineChoice {
  enum class Device { automatic, cpu, cuda };
  static constexpr int max_threads = 256;

  Device device = Device::automatic;
  int cuda_index = 0;                       // for Device::cuda
  std::optional<Precision> precision = {};  // none: fp16 on a GPU, bf16 once that is too narrow; fp32 on the CPU
  std::optional<Wait> wait = {};            // for a GPU; none: default_wait
  int threads = 0;                          // of the CPU engine; 0: one per physical core
  std::string instruction_set = {};         // of the CPU engine; empty: the best that the machine runs

  /// Whether the CPU engine may be used if no GPU can.
  bool may_use_cpu() const {
    return device == Device::automatic && precision.value_or(Precision::fp32) == Precision::fp32;
  }
};

/// An engine, opened on the calling thread.
struct OpenEngine {
  EnginePtr engine;
  std::unique_ptr<Ops> ops;
  std::string gpu_unused = {};  // the reason if Device::automatic fell back to the CPU, else empty
};

/// Throws Error(device) if the GPU that was asked for cannot be used, or the machine lacks the instruction set;
/// Error(argument) for a precision that the CPU engine lacks.
OpenEngine open_engine(const EngineChoice& choice);

/// As open_engine, for the CPU engine whatever `choice.device` says.
OpenEngine open_cpu_engine(const EngineChoice& choice, std::string gpu_unused = {});

/// The instruction set that the environment variable DINOV3_FLOW_ISA names; empty if it names none. JavaScript may
/// change the environment, so this is read on JavaScript's thread.
std::string instruction_set_of_environment();

/// Architectures that the CUDA kernels were compiled for, `sm_90a compute_120`; empty in a build without kernels.
std::string cuda_kernel_architectures();

}  // namespace flow

#pragma once

#include <string>

#include "cpu/kernels.h"
#include "engine/engine.h"

namespace flow::cpu {

/// The CPU as an engine: float32, ordinary memory.
class CpuEngine : public Engine {
 public:
  /// `threads` 0 is one per physical core; an empty `instruction_set` is the best. Throws Error(device) if the machine
  /// lacks the instruction set.
  explicit CpuEngine(int threads = 0, const std::string& instruction_set = {});

  EngineInfo describe() const override;
  std::unique_ptr<Ops> open() const override;
  MemoryPtr allocate_host(std::size_t /*bytes*/) const override { return nullptr; }
  MemoryPtr allocate_device(std::size_t /*bytes*/) const override { return nullptr; }
  MemoryPtr adopt(std::span<const std::byte> bytes) const override;
  SharedBytes share(std::span<const std::byte> bytes) const override;
  MemoryPtr open_shared(const SharedBytes& shared) const override;
  OtherStreamPtr mark(std::uint64_t stream) const override;

 private:
  int threads_;
  const Kernels& kernels_;
};

}  // namespace flow::cpu

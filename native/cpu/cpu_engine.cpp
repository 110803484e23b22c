#include "cpu/cpu_engine.h"

#include "cpu/cpu_ops.h"
#include "ops/error.h"

namespace flow::cpu {

CpuEngine::CpuEngine(int threads, const std::string& instruction_set)
    : threads_(threads == 0 ? physical_cores() : threads), kernels_(find_kernels(instruction_set)) {}

EngineInfo CpuEngine::describe() const { return {.instruction_set = kernels_.name, .threads = threads_}; }

/// Nobody can tell whether an address of the host is one of allocated memory.
MemoryPtr CpuEngine::adopt(std::span<const std::byte> /*bytes*/) const {
  throw Error(ErrorCode::argument, "pointer: this model computes on the CPU: give the memory as data, a typed array");
}

std::unique_ptr<Ops> CpuEngine::open() const { return std::make_unique<CpuOps>(threads_, kernels_); }

}  // namespace flow::cpu

#include "cpu/cpu_engine.h"

#include "cpu/cpu_ops.h"
#include "ops/error.h"

namespace flow::cpu {

namespace {

[[noreturn]] void refuse_sharing() {
  throw Error(ErrorCode::device,
              "processes share the memory of a GPU, and this model computes on the CPU: between threads, make tensors "
              "over one SharedArrayBuffer");
}

}  // namespace

CpuEngine::CpuEngine(int threads, const std::string& instruction_set)
    : threads_(threads == 0 ? physical_cores() : threads), kernels_(find_kernels(instruction_set)) {}

EngineInfo CpuEngine::describe() const { return {.instruction_set = kernels_.name, .threads = threads_}; }

/// Nobody can tell whether an address of the host is one of allocated memory.
MemoryPtr CpuEngine::adopt(std::span<const std::byte> /*bytes*/) const {
  throw Error(ErrorCode::argument, "pointer: this model computes on the CPU: give the memory as data, a typed array");
}

SharedBytes CpuEngine::share(std::span<const std::byte> /*bytes*/) const { refuse_sharing(); }

MemoryPtr CpuEngine::open_shared(const SharedBytes& /*shared*/) const { refuse_sharing(); }

OtherStreamPtr CpuEngine::mark(std::uint64_t /*stream*/) const {
  throw Error(ErrorCode::argument, "stream: this model computes on the CPU, which has no streams");
}

std::unique_ptr<Ops> CpuEngine::open() const { return std::make_unique<CpuOps>(threads_, kernels_); }

}  // namespace flow::cpu

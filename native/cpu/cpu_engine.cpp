#include "cpu/cpu_engine.h"

#include "cpu/cpu_ops.h"

namespace flow::cpu {

CpuEngine::CpuEngine(int threads, const std::string& instruction_set)
    : threads_(threads == 0 ? physical_cores() : threads), kernels_(find_kernels(instruction_set)) {}

EngineInfo CpuEngine::describe() const { return {.instruction_set = kernels_.name, .threads = threads_}; }

std::unique_ptr<Ops> CpuEngine::open() const { return std::make_unique<CpuOps>(threads_, kernels_); }

}  // namespace flow::cpu

#include "engine/open.h"

#include <cstdlib>

#include "cpu/cpu_engine.h"
#include "cpu/thread_pool.h"
#include "cuda/cuda_engine.h"
#include "cuda/kernel_images.h"
#include "ops/error.h"

namespace flow {

namespace {

static_assert(EngineChoice::max_threads == cpu::ThreadPool::max_threads);

OpenEngine open_on_this_thread(EnginePtr engine) {
  auto ops = engine->open();
  return {std::move(engine), std::move(ops)};
}

OpenEngine open_cuda_engine(int index, const EngineChoice& choice) {
  return open_on_this_thread(std::make_shared<const cuda::CudaEngine>(index, choice.precision.value_or(Precision::fp16),
                                                                      !choice.precision, choice.wait));
}

}  // namespace

OpenEngine open_cpu_engine(const EngineChoice& choice, std::string gpu_unused) {
  if (choice.precision.value_or(Precision::fp32) != Precision::fp32) {
    throw Error(ErrorCode::argument, std::string("precision: the CPU engine computes in fp32; give 'fp32' or 'auto', "
                                                 "not '") +
                                         name_of(*choice.precision) + "'");
  }
  OpenEngine open = open_on_this_thread(std::make_shared<const cpu::CpuEngine>(choice.threads, choice.instruction_set));
  open.gpu_unused = std::move(gpu_unused);
  return open;
}

OpenEngine open_engine(const EngineChoice& choice) {
  using Device = EngineChoice::Device;
  if (choice.device == Device::cpu) return open_cpu_engine(choice);
  if (choice.device == Device::cuda) return open_cuda_engine(choice.cuda_index, choice);
  std::string reason;
  try {
    return open_cuda_engine(0, choice);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::device && error.code() != ErrorCode::out_of_memory) throw;
    reason = error.what();
  }
  if (!choice.may_use_cpu()) {
    throw Error(ErrorCode::device, std::string("precision '") + name_of(*choice.precision) +
                                       "' needs a GPU, and none can be used: " + reason);
  }
  return open_cpu_engine(choice, reason);
}

std::string instruction_set_of_environment() {
  const char* named = std::getenv("DINOV3_FLOW_ISA");
  return named == nullptr ? "" : named;
}

std::string cuda_kernel_architectures() { return cuda::built_architectures(); }

}  // namespace flow

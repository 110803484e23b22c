#include "addon/engine.h"

#include "cpu/cpu_ops.h"
#include "cuda/cuda_ops.h"
#include "ops/error.h"

namespace flow::addon {

namespace {

const char* name_of(cuda::Precision precision) {
  switch (precision) {
    case cuda::Precision::fp32: return "fp32";
    case cuda::Precision::fp16: return "fp16";
    case cuda::Precision::bf16: return "bf16";
  }
  return "";
}

Engine make_cuda_engine(int index, const EngineChoice& choice) {
  const auto precision = choice.precision.value_or(cuda::Precision::fp16);
  auto ops = std::make_unique<cuda::CudaOps>(index, precision);
  EngineInfo info;
  info.precision = name_of(precision);
  info.gpu = ops->device();
  return {std::move(ops), std::move(info)};
}

}  // namespace

Engine make_cpu_engine(const EngineChoice& choice, std::string gpu_unused) {
  if (choice.precision.value_or(cuda::Precision::fp32) != cuda::Precision::fp32) {
    throw Error(ErrorCode::argument, std::string("precision: the CPU engine computes in fp32; give 'fp32' or 'auto', "
                                                 "not '") +
                                         name_of(*choice.precision) + "'");
  }
  auto ops =
      std::make_unique<cpu::CpuOps>(choice.threads == 0 ? cpu::physical_cores() : choice.threads, *choice.kernels);
  EngineInfo info;
  info.instruction_set = ops->instruction_set();
  info.threads = ops->threads();
  info.gpu_unused = std::move(gpu_unused);
  return {std::move(ops), std::move(info)};
}

Engine make_engine(const EngineChoice& choice) {
  if (choice.device == Device::cpu) return make_cpu_engine(choice);
  if (choice.device == Device::cuda) return make_cuda_engine(choice.cuda_index, choice);
  std::string reason;
  try {
    return make_cuda_engine(0, choice);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::device && error.code() != ErrorCode::out_of_memory) throw;
    reason = error.what();
  }
  if (!choice.may_use_cpu()) {
    throw Error(ErrorCode::device, std::string("precision '") + name_of(*choice.precision) +
                                       "' needs a GPU, and none can be used: " + reason);
  }
  return make_cpu_engine(choice, reason);
}

}  // namespace flow::addon

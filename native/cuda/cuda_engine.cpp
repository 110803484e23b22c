#include "cuda/cuda_engine.h"

#include "cuda/cuda_ops.h"
#include "cuda/host_block.h"
#include "cuda/image_choice.h"
#include "cuda/in_place.h"

namespace flow::cuda {

CudaEngine::CudaEngine(int device, Precision precision, bool may_widen, std::optional<Wait> wait)
    : context_(Context::of(device)),
      precision_(precision),
      may_widen_(may_widen),
      wait_(wait.value_or(default_wait(context_->device().integrated))),
      marks_(std::make_shared<EventPool>(context_)) {
  const DeviceInfo& info = context_->device();
  const auto require = [&](int capability, const std::string& of_kernels) {
    if (kernels_have(precision, capability)) return;
    throw Error(ErrorCode::device, "precision 'bf16' needs a GPU, and kernels, of compute capability 8.0 or more. " +
                                       info.name + " has " + info.capability() + of_kernels + ": use 'fp16' or 'fp32'");
  };
  require(10 * info.capability_major + info.capability_minor, "");
  images_ = &choose_images(*context_);
  require(capability_of(*images_), std::string(", and this build's kernels for it are ") + images_->architecture);
  in_place_ = computes_in_place(context_);
  tensors_ = TensorPool::of(context_);
}

EngineInfo CudaEngine::describe() const {
  const DeviceInfo& info = context_->device();
  return {.precision = precision_,
          .gpu = GpuInfo{.index = info.index,
                         .name = info.name,
                         .compute_capability = info.capability(),
                         .multiprocessors = info.multiprocessors,
                         .memory = info.memory,
                         .integrated = info.integrated,
                         .in_place = in_place_,
                         .wait = wait_,
                         .kernels = images_->architecture,
                         .driver_version = driver().version}};
}

std::unique_ptr<Ops> CudaEngine::open() const {
  return std::make_unique<CudaOps>(context_, precision_, may_widen_, wait_);
}

MemoryPtr CudaEngine::allocate_host(std::size_t bytes) const { return HostBlock::allocate(context_, bytes); }

}  // namespace flow::cuda

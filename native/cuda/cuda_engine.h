#pragma once

#include <optional>

#include "cuda/device.h"
#include "cuda/event_pool.h"
#include "cuda/foreign_memory.h"
#include "cuda/ipc_memory.h"
#include "cuda/kernel_images.h"
#include "cuda/marked_stream.h"
#include "cuda/tensor_pool.h"
#include "engine/engine.h"

namespace flow::cuda {

/// One GPU as an engine.
class CudaEngine : public Engine {
 public:
  /// `may_widen` and `wait`: see CudaOps; without `wait` it is default_wait. Throws Error(device) if there is no such
  /// device, it lacks the precision, or can load none of the kernels.
  CudaEngine(int device, Precision precision, bool may_widen = false, std::optional<Wait> wait = {});

  EngineInfo describe() const override;
  std::unique_ptr<Ops> open() const override;
  /// Page-locked memory.
  MemoryPtr allocate_host(std::size_t bytes) const override;
  MemoryPtr allocate_device(std::size_t bytes) const override { return tensors_->allocate(bytes); }
  MemoryPtr adopt(std::span<const std::byte> bytes) const override { return ForeignMemory::find(context_, bytes); }
  SharedBytes share(std::span<const std::byte> bytes) const override { return cuda::share(context_, bytes); }
  MemoryPtr open_shared(const SharedBytes& shared) const override { return cuda::open_shared(context_, shared); }
  OtherStreamPtr mark(std::uint64_t stream) const override { return MarkedStream::mark(context_, *marks_, stream); }

 private:
  ContextPtr context_;
  Precision precision_;
  bool may_widen_;
  Wait wait_;
  const ImageSet* images_ = nullptr;
  bool in_place_ = false;
  std::shared_ptr<TensorPool> tensors_;
  std::shared_ptr<EventPool> marks_;
};

}  // namespace flow::cuda

#pragma once

#include <napi.h>

#include <memory>

#include "addon/home_thread.h"
#include "include/dinov3_flow.h"
#include "ops/memory.h"

namespace flow::addon {

/// The memory of a DLPack tensor of another module. The tensor's deleter runs with the object's end, on JavaScript's
/// thread.
class BorrowedMemory : public Memory {
 public:
  /// `block` is what the engine knows of a GPU's memory, or null for the host's.
  BorrowedMemory(DLManagedTensorVersioned* tensor, std::span<std::byte> bytes, MemoryPtr block,
                 std::shared_ptr<HomeThread> home)
      : tensor_(tensor), bytes_(bytes), block_(std::move(block)), home_(std::move(home)) {}
  ~BorrowedMemory() override {
    home_->run([tensor = tensor_] {
      if (tensor->deleter != nullptr) tensor->deleter(tensor);
    });
  }
  BorrowedMemory(const BorrowedMemory&) = delete;
  BorrowedMemory& operator=(const BorrowedMemory&) = delete;

  void* data() const override { return bytes_.data(); }
  std::size_t size() const override { return bytes_.size(); }
  int device() const override { return block_ ? block_->device() : host; }
  bool is_there() const override { return !block_ || block_->is_there(); }

 private:
  DLManagedTensorVersioned* tensor_;
  std::span<std::byte> bytes_;
  MemoryPtr block_;
  std::shared_ptr<HomeThread> home_;
};

/// NativeOwner of lib/native/contract.ts: names memory for requests, and does not keep it.
Napi::Value owner_object(Napi::Env env, const MemoryPtr& memory);

/// The memory that an owner names. Throws Error(argument) if it is gone or does not contain `bytes`.
MemoryPtr owned_by(const Napi::Value& owner, std::span<const std::byte> bytes, const char* what);

}  // namespace flow::addon

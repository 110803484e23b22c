#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "model/frame_copy.h"
#include "model/refiner.h"
#include "model/request.h"
#include "ops/ops.h"

namespace flow {

/// Memory for the features of one frame: N x dim, float32. Its addresses never change, and no other slot ever has its
/// `number`. So the numbers of its slots identify a recorded sequence.
struct FeatureSlot {
  std::uint64_t number;
  Grid grid;
  RealMatrix matrix;
  MemoryPtr memory;                          // of `matrix`; a tensor may keep it
  std::uint64_t taken = 0;                   // the larger, the later
  std::optional<FramePyramid> pyramid = {};  // of the frame, if flows from or to it are refined
  FrameCopy frame = {};                      // copy of the frame, if its request set `skip_duplicate`
};

using FeatureSlotPtr = std::shared_ptr<FeatureSlot>;

/// Where features are, and what keeps them there.
struct FeatureMemory {
  RealMatrix matrix;
  MemoryPtr memory;
};

/// All features that a network holds. A slot is free if only the store owns it and its memory. For one thread at a
/// time.
class FeatureStore {
 public:
  FeatureStore(Ops& ops, int dim) : ops_(ops), dim_(dim) {}

  /// A slot for a map of that grid, and for a pyramid of that size, if one is given: a free one, else a new one.
  FeatureSlotPtr take(Grid grid, std::optional<PixelSize> pyramid);

  /// Names a slot until `release`. Throws Error(argument) for a name in use.
  void keep(FeatureId id, FeatureSlotPtr slot);
  /// Throws Error(disposed) for a name that is not in use.
  const FeatureSlotPtr& find(FeatureId id) const;
  /// Does nothing for a name that is not in use.
  void release(FeatureId id);
  /// As find, for any thread. As long as the caller keeps the memory, no other features are written to it.
  FeatureMemory memory_of(FeatureId id) const;

  /// Bytes of the slots that have names.
  std::size_t kept_bytes() const { return kept_bytes_; }

 private:
  struct Entry {
    FeatureId id;
    FeatureSlotPtr slot;
  };
  std::size_t bytes_of(const FeatureSlot& slot) const;
  int stride_of_rows() const;
  void trim();

  Ops& ops_;
  int dim_;
  std::uint64_t slots_made_ = 0;
  std::uint64_t takes_ = 0;
  std::vector<FeatureSlotPtr> slots_;
  std::vector<Entry> kept_;
  mutable std::mutex kept_mutex_;  // for changes of `kept_`, and for `memory_of`
  std::size_t kept_bytes_ = 0;
};

}  // namespace flow

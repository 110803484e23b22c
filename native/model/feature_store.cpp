#include "model/feature_store.h"

#include <algorithm>
#include <atomic>

#include "ops/error.h"

namespace flow {

namespace {

/// Free slots kept for the next requests: both frames of a pair, at a few sizes.
constexpr std::ptrdiff_t kept_free_slots = 6;

/// Another thread may let go of the memory. Its reads come before the writes of whoever finds the slot free.
bool is_free(const FeatureSlotPtr& slot) {
  if (slot.use_count() != 1 || slot->memory.use_count() != 1) return false;
  std::atomic_thread_fence(std::memory_order_acquire);
  return true;
}

std::optional<PixelSize> size_of(const std::optional<FramePyramid>& pyramid) {
  if (!pyramid) return {};
  return pyramid->size();
}

}  // namespace

FeatureSlotPtr FeatureStore::take(Grid grid, std::optional<PixelSize> pyramid) {
  // Always the first: requests of a kind then take the same slots again, so that few recordings serve them.
  const auto fits = std::ranges::find_if(slots_, [&](const FeatureSlotPtr& slot) {
    return is_free(slot) && slot->grid == grid && size_of(slot->pyramid) == pyramid;
  });
  if (fits != slots_.end()) {
    (*fits)->frame.forget();
    (*fits)->taken = ++takes_;
    return *fits;
  }
  trim();
  const int stride = stride_of_rows();
  MemoryPtr memory = ops_.allocate(sizeof(float) * static_cast<std::size_t>(grid.size()) * stride);
  const RealMatrix matrix{memory->data(), grid.size(), dim_, stride};
  auto slot = std::make_shared<FeatureSlot>(FeatureSlot{++slots_made_, grid, matrix, std::move(memory)});
  if (pyramid) slot->pyramid.emplace(ops_, pyramid->height, pyramid->width);
  slot->taken = ++takes_;
  return slots_.emplace_back(std::move(slot));
}

/// `dim` where the engines can compute with that, so that a tensor over the features has no gaps. The CPU would pad a
/// `dim` of 256 times a number for its caches. The head's first product takes 7 % longer without at 1024, and no longer
/// at 768: less than a thousandth of a frame.
int FeatureStore::stride_of_rows() const {
  constexpr int widest_vector = 32;  // values: each row begins at a multiple of what the engines compute with
  return dim_ % widest_vector == 0 ? dim_ : ops_.stride(dim_);
}

/// Frees the slots that were not taken for longest, except some.
void FeatureStore::trim() {
  for (std::ptrdiff_t spare = std::ranges::count_if(slots_, is_free) - kept_free_slots; spare > 0; spare--) {
    const auto order = [](const FeatureSlotPtr& slot) { return is_free(slot) ? slot->taken : UINT64_MAX; };
    slots_.erase(std::ranges::min_element(slots_, {}, order));
  }
}

std::size_t FeatureStore::bytes_of(const FeatureSlot& slot) const {
  const std::size_t features =
      sizeof(float) * static_cast<std::size_t>(slot.grid.size()) * static_cast<std::size_t>(dim_);
  return features + (slot.pyramid ? slot.pyramid->bytes() : 0);
}

void FeatureStore::keep(FeatureId id, FeatureSlotPtr slot) {
  const bool used = std::ranges::any_of(kept_, [&](const Entry& entry) { return entry.id == id; });
  if (used) throw Error(ErrorCode::argument, "the name of a feature map is in use");
  kept_bytes_ += bytes_of(*slot);
  const std::lock_guard lock(kept_mutex_);
  kept_.push_back({id, std::move(slot)});
}

const FeatureSlotPtr& FeatureStore::find(FeatureId id) const {
  const auto found = std::ranges::find(kept_, id, &Entry::id);
  if (found == kept_.end()) throw Error(ErrorCode::disposed, "the feature map was disposed");
  return found->slot;
}

void FeatureStore::release(FeatureId id) {
  const auto found = std::ranges::find(kept_, id, &Entry::id);
  if (found == kept_.end()) return;
  kept_bytes_ -= bytes_of(*found->slot);
  {
    const std::lock_guard lock(kept_mutex_);
    kept_.erase(found);
  }
  trim();
}

FeatureMemory FeatureStore::memory_of(FeatureId id) const {
  const std::lock_guard lock(kept_mutex_);
  const FeatureSlot& slot = *find(id);
  return {slot.matrix, slot.memory};
}

}  // namespace flow

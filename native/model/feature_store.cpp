#include "model/feature_store.h"

#include <algorithm>

#include "ops/error.h"

namespace flow {

namespace {

/// Free slots kept for the next frames of a stream.
constexpr std::ptrdiff_t kept_free_slots = 4;

bool is_free(const FeatureSlotPtr& slot) { return slot.use_count() == 1; }

}  // namespace

FeatureSlotPtr FeatureStore::take(Grid grid) {
  const auto fits = std::ranges::find_if(slots_, [&](const auto& slot) { return is_free(slot) && slot->grid == grid; });
  if (fits != slots_.end()) {
    (*fits)->frame.forget();
    return *fits;
  }
  const int stride = ops_.stride(dim_);
  auto memory = ops_.allocate(sizeof(float) * static_cast<std::size_t>(grid.size()) * stride);
  const RealMatrix matrix{memory->data(), grid.size(), dim_, stride};
  return slots_.emplace_back(
      std::make_shared<FeatureSlot>(FeatureSlot{++slots_made_, grid, matrix, std::move(memory)}));
}

std::size_t FeatureStore::bytes_of(const FeatureSlot& slot) const {
  return sizeof(float) * static_cast<std::size_t>(slot.grid.size()) * static_cast<std::size_t>(dim_);
}

void FeatureStore::keep(FeatureId id, FeatureSlotPtr slot) {
  const bool used = std::ranges::any_of(kept_, [&](const Entry& entry) { return entry.id == id; });
  if (used) throw Error(ErrorCode::argument, "the name of a feature map is in use");
  kept_bytes_ += bytes_of(*slot);
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
  kept_.erase(found);
  if (std::ranges::count_if(slots_, is_free) > kept_free_slots) slots_.erase(std::ranges::find_if(slots_, is_free));
}

}  // namespace flow

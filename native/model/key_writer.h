#pragma once

#include <bit>
#include <optional>

#include "model/feature_store.h"
#include "ops/ops.h"

namespace flow {

/// Writes a SequenceKey, part by part.
class KeyWriter {
 public:
  KeyWriter& add(std::uint64_t part) {
    key_.at(used_++) = part;
    return *this;
  }
  KeyWriter& add(const std::optional<Frame>& f) {
    if (!f) return add(std::uint64_t{0});
    return add(static_cast<std::uint64_t>(f->height) << 32 | static_cast<std::uint64_t>(f->width));
  }
  KeyWriter& add(const FeatureSlotPtr& slot) { return add(slot ? slot->number : 0); }
  KeyWriter& add(double number) { return add(std::bit_cast<std::uint64_t>(number)); }
  const SequenceKey& key() const { return key_; }

 private:
  SequenceKey key_{};
  std::size_t used_ = 0;
};

}  // namespace flow

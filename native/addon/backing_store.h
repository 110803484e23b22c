#pragma once

#include <napi.h>

#include <memory>

namespace flow::addon {

/// Keeps the memory of a typed array alive, even if JavaScript transfers or detaches its ArrayBuffer meanwhile: a
/// model's thread may be reading it. Null if the memory is shared, and so cannot go away, and in a runtime that does
/// not export V8's function for this, or whose V8 was built with another C++ library than node's. Belongs to
/// JavaScript's thread, as its end does.
std::shared_ptr<const void> hold_backing_store(const Napi::Value& typed_array);

}  // namespace flow::addon

#pragma once

#include <napi.h>

#include "ops/frame.h"

namespace flow::addon {

/// Reads `channels` and `toRgb` of a NativeFrame. Whatever the numbers are, no pixel of a frame of this format has a
/// sample outside the rows of its planes, and no conversion overflows. Throws Error(argument).
PixelFormat to_pixel_format(const Napi::Value& channels, const Napi::Value& to_rgb);

}  // namespace flow::addon

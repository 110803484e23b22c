#pragma once

#include <napi.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/error.h"

// Checked conversions of JavaScript values to C++ values. `what` is the name of the value in messages. All throw
// Error(argument).

namespace flow::addon {

constexpr double max_exact_integer = 9007199254740991.0;

[[noreturn]] inline void reject(const std::string& message) { throw Error(ErrorCode::argument, message); }

Napi::Object to_object(const Napi::Value& value, const char* what);
Napi::Array to_array(const Napi::Value& value, const char* what);
std::string to_string(const Napi::Value& value, const char* what);
std::int64_t to_integer(const Napi::Value& value, const char* what, double min, double max);
int to_int(const Napi::Value& value, const char* what, int min, int max);
std::vector<std::int64_t> to_integers(const Napi::Value& value, const char* what);
/// A BigInt that fits 64 bits, without a sign.
std::uint64_t to_handle(const Napi::Value& value, const char* what);
/// The same, and not 0.
std::uintptr_t to_address(const Napi::Value& value, const char* what);
/// A number of at least 0; it may be infinite.
double to_length(const Napi::Value& value, const char* what);

/// The memory of a typed array, not a copy. `length` is in elements.
struct TypedMemory {
  void* data;
  std::size_t length;
};
/// Throws unless `value` is a typed array of that type with at least one element.
TypedMemory to_memory(const Napi::Value& value, napi_typedarray_type type, const char* what);

template <class Element>
std::span<Element> to_elements(const Napi::Value& value, napi_typedarray_type type, const char* what) {
  const auto [data, length] = to_memory(value, type, what);
  return {static_cast<Element*>(data), length};
}

/// A copy of a Uint8Array, which may be empty.
std::vector<std::byte> to_bytes(const Napi::Value& value, const char* what);

/// A C++ value, and its name in JavaScript.
template <class Value>
struct Named {
  std::string_view name;
  Value value;
};

template <class Value, std::size_t count>
Value find_named(const std::array<Named<Value>, count>& table, const Napi::Value& value, const char* what) {
  const std::string name = to_string(value, what);
  for (const Named<Value>& entry : table) {
    if (entry.name == name) return entry.value;
  }
  reject(std::string("unknown ") + what + " '" + name + "'");
}

}  // namespace flow::addon

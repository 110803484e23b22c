#include "addon/values.h"

#include <cmath>

namespace flow::addon {

Napi::Object to_object(const Napi::Value& value, const char* what) {
  if (!value.IsObject()) reject(std::string(what) + " is not an object");
  return value.As<Napi::Object>();
}

Napi::Array to_array(const Napi::Value& value, const char* what) {
  if (!value.IsArray()) reject(std::string(what) + " is not an array");
  return value.As<Napi::Array>();
}

std::string to_string(const Napi::Value& value, const char* what) {
  if (!value.IsString()) reject(std::string(what) + " is not a string");
  return value.As<Napi::String>();
}

std::int64_t to_integer(const Napi::Value& value, const char* what, double min, double max) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= min && number <= max) || number != std::floor(number)) {
    reject(std::string(what) + " is not an integer in its range");
  }
  return static_cast<std::int64_t>(number);
}

int to_int(const Napi::Value& value, const char* what, int min, int max) {
  return static_cast<int>(to_integer(value, what, min, max));
}

std::vector<std::int64_t> to_integers(const Napi::Value& value, const char* what) {
  const Napi::Array array = to_array(value, what);
  std::vector<std::int64_t> integers;
  for (std::uint32_t i = 0; i < array.Length(); i++)
    integers.push_back(to_integer(array[i], what, 0, max_exact_integer));
  return integers;
}

std::uint64_t to_handle(const Napi::Value& value, const char* what) {
  bool lossless = false;
  const std::uint64_t handle = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) reject(std::string(what) + " is no handle");
  return handle;
}

std::uintptr_t to_address(const Napi::Value& value, const char* what) {
  const std::uint64_t address = value.IsBigInt() ? to_handle(value, what) : 0;
  if (address == 0) reject(std::string(what) + " has no address");
  return static_cast<std::uintptr_t>(address);
}

double to_length(const Napi::Value& value, const char* what) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= 0)) reject(std::string(what) + " is not a length");
  return number;
}

TypedMemory to_memory(const Napi::Value& value, napi_typedarray_type type, const char* what) {
  napi_typedarray_type actual{};
  TypedMemory memory{};
  // The ArrayBuffer is not asked for: it may be a SharedArrayBuffer.
  const bool typed = value.IsTypedArray() && napi_get_typedarray_info(value.Env(), value, &actual, &memory.length,
                                                                      &memory.data, nullptr, nullptr) == napi_ok;
  if (!typed || actual != type) reject(std::string(what) + " is not a typed array of the right type");
  if (memory.data == nullptr || memory.length == 0) reject(std::string(what) + " has no memory");
  return memory;
}

std::vector<std::byte> to_bytes(const Napi::Value& value, const char* what) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().ElementLength() == 0) return {};
  const auto bytes = std::as_bytes(to_elements<std::uint8_t>(value, napi_uint8_array, what));
  return {bytes.begin(), bytes.end()};
}

}  // namespace flow::addon

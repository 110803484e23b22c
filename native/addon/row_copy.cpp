#include "addon/row_copy.h"

#include <functional>

namespace flow::addon {

namespace {

void check_rows(std::size_t rows, std::size_t bytes, std::size_t step, std::size_t size) {
  if (step < bytes) reject("rows of a copy overlap");
  if (bytes > size || (rows > 1 && rows - 1 > (size - bytes) / step))
    reject("rows of a copy are outside of its memory");
}

bool overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
  const std::less<> before;
  return before(a.data(), b.data() + b.size()) && before(b.data(), a.data() + a.size());
}

}  // namespace

RowCopy to_row_copy(const Napi::Value& value, BoundMemory& memory) {
  const Napi::Object object = to_object(value, "copy");
  const auto number = [&](const char* name) {
    return static_cast<std::size_t>(to_integer(object.Get(name), name, 1, max_exact_integer));
  };
  const std::span<std::byte> from = memory.bytes(object.Get("from"), "the source of a copy");
  const std::span<std::byte> to = memory.bytes(object.Get("to"), "the target of a copy");
  const RowCopy copy{from.data(), to.data(), number("rows"), number("rowBytes"), number("fromStep"), number("toStep")};
  check_rows(copy.rows, copy.bytes, copy.from_step, from.size());
  check_rows(copy.rows, copy.bytes, copy.to_step, to.size());
  if (overlap(from, to)) reject("the source and the target of a copy overlap: copy by way of other memory");
  return copy;
}

}  // namespace flow::addon

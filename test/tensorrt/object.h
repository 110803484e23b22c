#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

// Objects as TensorRT's headers describe them to a caller: a public object is a table with its destructor, and a
// pointer to an implementation, whose table has the functions after a destructor of its own. Tables are filled by slot;
// a call of any other slot ends the process.

namespace nvinfer_emu {

constexpr std::size_t table_entries = 160;
using Table = std::array<void*, table_entries>;

template <std::size_t entry>
void unknown() {
  std::fprintf(stderr, "the emulated TensorRT has no function at slot %d\n", static_cast<int>(entry) - 2);
  std::abort();
}

template <std::size_t... entries>
Table unknown_table(std::index_sequence<entries...> /*all*/) {
  return {reinterpret_cast<void*>(&unknown<entries>)...};
}

inline Table unknown_table() { return unknown_table(std::make_index_sequence<table_entries>()); }

/// How many objects there are: a test expects none at its end.
int& live_objects();

/// A public object around a `State`.
template <class State>
class Object {
 public:
  explicit Object(State made) : state(std::move(made)) { live_objects()++; }
  ~Object() { live_objects()--; }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  /// The state behind the `this` of a function in the implementation's table.
  static State& of(void* implementation) { return static_cast<Implementation*>(implementation)->object->state; }

  /// Puts a function at a slot.
  template <class Function>
  Object& at(int slot, Function function) {
    implementation_.functions.at(static_cast<std::size_t>(slot) + 2) = reinterpret_cast<void*>(function);
    return *this;
  }

 private:
  struct Implementation {
    void* const* table;
    Object* object;
    Table functions = unknown_table();
  };
  static void destroy(void* object) { delete static_cast<Object*>(object); }

  // The first two members are what a caller knows.
  void* const* table_ = public_functions_.data();
  Implementation* behind_ = &implementation_;
  std::array<void*, 2> public_functions_{reinterpret_cast<void*>(&unknown<0>), reinterpret_cast<void*>(&destroy)};
  Implementation implementation_{.table = nullptr, .object = this};

 public:
  State state;
  /// Call it once the functions are in their places.
  void* finish() {
    implementation_.table = implementation_.functions.data();
    return this;
  }
};

}  // namespace nvinfer_emu

#pragma once

#include <cstddef>

// Stacks that run in turns on one thread of the operating system.

namespace emu {

#if defined(__SANITIZE_ADDRESS__) || defined(FLOW_EMULATOR_RACE)
constexpr std::size_t stack_bytes = 256 << 10;  // instrumented frames are large
#else
constexpr std::size_t stack_bytes = 64 << 10;
#endif

/// Saves the registers that a function keeps and the stack pointer into `*from`, and goes on at `to`.
extern "C" void emu_switch(void** from, void* to);

/// A switch that also tells AddressSanitizer which stack is in use.
class Context {
 public:
  /// Gives control to `to`; returns when something comes back here.
  void switch_to(Context& to) {
#ifdef __SANITIZE_ADDRESS__
    switch_annotated(to);
#else
    emu_switch(&pointer_, to.pointer_);
#endif
  }

  /// The first switch to it calls `entry`, which never returns, on the stack [bottom, top).
  void start(void* bottom, void* top, void (*entry)());

 private:
  friend void enter_fiber();
  void switch_annotated(Context& to);

  void* pointer_ = nullptr;
#ifdef __SANITIZE_ADDRESS__
  const void* bottom_ = nullptr;
  std::size_t bytes_ = 0;
  void* fake_stack_ = nullptr;
#endif
};

/// One stack for each thread of a block, each with a page beneath that must not be touched.
class Stacks {
 public:
  explicit Stacks(int count);
  ~Stacks();
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  void* bottom(int i) const { return memory_ + i * slot_bytes + page; }
  /// Tops differ modulo a page, lest all fibers' frames share the same few cache sets.
  void* top(int i) const { return memory_ + (i + 1) * slot_bytes - (i % 20) * 192; }
  /// To be called when fibers were given up halfway: AddressSanitizer still guards their frames.
  void clean();
  bool contains(const void* p) const { return p >= memory_ && p < memory_ + bytes_; }

 private:
  static constexpr std::size_t page = 4096;
  static constexpr std::size_t slot_bytes = stack_bytes + 2 * page;

  char* memory_;
  std::size_t bytes_;
};

}  // namespace emu

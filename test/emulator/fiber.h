#pragma once

#include <cstddef>

// Stacks that take turns on one host thread.

namespace emu {

#if defined(__SANITIZE_ADDRESS__) || defined(FLOW_EMULATOR_RACE)
constexpr std::size_t stack_bytes = 256 << 10;  // instrumented frames are large
#else
constexpr std::size_t stack_bytes = 64 << 10;
#endif

/// Saves the callee-saved registers and the stack pointer into `*from`, and continues at `to`.
extern "C" void emu_switch(void** from, void* to);

/// A switch that also tells AddressSanitizer which stack is in use.
class Context {
 public:
  /// Gives control to `to`. Returns when another context switches back to this one.
  void switch_to(Context& to) {
#ifdef __SANITIZE_ADDRESS__
    switch_annotated(to);
#else
    emu_switch(&pointer_, to.pointer_);
#endif
  }

  /// The first switch to this context calls `entry`, which never returns, on the stack [bottom, top).
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

/// One stack for each thread of a block, each with a guard page beneath it.
class Stacks {
 public:
  explicit Stacks(int count);
  ~Stacks();
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  void* bottom(int i) const { return memory_ + i * slot_bytes + page; }
  /// The tops differ modulo a page, so that the frames of the fibers do not all share the same few cache sets.
  void* top(int i) const { return memory_ + (i + 1) * slot_bytes - (i % 20) * 192; }
  /// Call this after fibers were abandoned halfway: AddressSanitizer still guards their frames.
  void clean();
  bool contains(const void* p) const { return p >= memory_ && p < memory_ + bytes_; }

 private:
  static constexpr std::size_t page = 4096;
  static constexpr std::size_t slot_bytes = stack_bytes + 2 * page;

  char* memory_;
  std::size_t bytes_;
};

}  // namespace emu

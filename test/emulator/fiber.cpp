#include "fiber.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Saves only the registers that the calling convention keeps over a call. It makes no system call; swapcontext would
// make one for the signal mask. The jump through a register, instead of a `ret`, keeps the return predictor in step.
#if defined(__x86_64__)
asm(R"(
.pushsection .text
.globl emu_switch
.hidden emu_switch
.type emu_switch, %function
.balign 16
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size emu_switch, .-emu_switch
.popsection
)");
static constexpr int frame_words = 8;  // six registers, the address to continue at, an entry's null return address
static constexpr int entry_word = 6;
#elif defined(__aarch64__)
asm(R"(
.pushsection .text
.globl emu_switch
.hidden emu_switch
.type emu_switch, %function
.balign 16
emu_switch:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size emu_switch, .-emu_switch
.popsection
)");
static constexpr int frame_words = 20;
static constexpr int entry_word = 11;  // x30
#else
#error "the emulator switches stacks on x86-64 and aarch64"
#endif

namespace emu {

void Context::start(void* bottom, void* top, void (*entry)()) {
  auto** frame = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(top) / 64 * 64) - frame_words;
  (void)bottom;
#ifdef __SANITIZE_ADDRESS__
  bottom_ = bottom;
  bytes_ = static_cast<std::size_t>(static_cast<char*>(top) - static_cast<char*>(bottom));
  fake_stack_ = nullptr;
  // The entry never returned from its last run, so its red zones are still there.
  __asan_unpoison_memory_region(static_cast<char*>(top) - 4096, 4096);
#endif
  std::fill(frame, frame + frame_words, nullptr);
  frame[entry_word] = reinterpret_cast<void*>(entry);
  pointer_ = frame;
}

#ifdef __SANITIZE_ADDRESS__
static thread_local Context* leaving = nullptr;

void Context::switch_annotated(Context& to) {
  leaving = this;
  __sanitizer_start_switch_fiber(&fake_stack_, to.bottom_, to.bytes_);
  emu_switch(&pointer_, to.pointer_);
  __sanitizer_finish_switch_fiber(fake_stack_, &leaving->bottom_, &leaving->bytes_);
}

void enter_fiber() { __sanitizer_finish_switch_fiber(nullptr, &leaving->bottom_, &leaving->bytes_); }
#else
void enter_fiber() {}
#endif

Stacks::Stacks(int count) : bytes_(count * slot_bytes) {
  void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<char*>(p);
  for (int i = 0; i < count; i++) mprotect(memory_ + i * slot_bytes, page, PROT_NONE);
}

void Stacks::clean() {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(memory_, bytes_);
#endif
}

Stacks::~Stacks() { munmap(memory_, bytes_); }

}  // namespace emu

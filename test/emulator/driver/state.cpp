#include "state.h"

#include <cstdio>

namespace emu {

thread_local CUcontext current_context = nullptr;

State& state() {
  static auto* const instance = new State;
  return *instance;
}

Stream* State::capture_of_this_thread() const {
  return streams.find_if([](const Stream& s) {
    return s.capture != Stream::none && s.origin == nullptr && s.capturing_thread == std::this_thread::get_id();
  });
}

void State::destroy(CUcontext handle) {
  Context* const context = contexts.find(handle);
  if (context != nullptr) context->queues.run_all();
  const auto belongs = [context](const auto& object) { return object.context == context; };
  executables.remove_if(belongs);
  graphs.remove_if(belongs);
  events.remove_if(belongs);
  streams.remove_if(belongs);
  functions.remove_if(belongs);
  modules.remove_if(belongs);
  contexts.remove(handle);
}

void report(const std::string& message) { std::fprintf(stderr, "emulator: %s\n", message.c_str()); }

}  // namespace emu

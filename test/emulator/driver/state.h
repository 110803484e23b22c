#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "../registry.h"
#include "cuda/driver_api.h"
#include "memory.h"
#include "queues.h"

// All state of the driver, under one lock. Handles are numbers that are never reused, so a destroyed handle is
// recognised.

namespace emu {

using namespace flow::cuda;

/// Errors that driver_api.h does not name.
constexpr auto CUDA_ERROR_ILLEGAL_STATE = static_cast<CUresult>(401);
constexpr auto CUDA_ERROR_NOT_SUPPORTED = static_cast<CUresult>(801);
constexpr auto CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = static_cast<CUresult>(900);
constexpr auto CUDA_ERROR_STREAM_CAPTURE_UNMATCHED = static_cast<CUresult>(903);
constexpr auto CUDA_ERROR_STREAM_CAPTURE_UNJOINED = static_cast<CUresult>(904);
constexpr auto CUDA_ERROR_STREAM_CAPTURE_ISOLATION = static_cast<CUresult>(905);
constexpr auto CUDA_ERROR_CAPTURED_EVENT = static_cast<CUresult>(907);
constexpr auto CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD = static_cast<CUresult>(908);

template <class Handle, class Object>
class Handles {
 public:
  template <class... Arguments>
  Handle add(Arguments&&... arguments) {
    next_ += 16;
    objects_[next_] = std::make_unique<Object>(std::forward<Arguments>(arguments)...);
    return reinterpret_cast<Handle>(next_);
  }
  /// Null if the handle is not, or no longer, one of these.
  Object* find(Handle handle) const {
    const auto found = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
    return found == objects_.end() ? nullptr : found->second.get();
  }
  bool remove(Handle handle) { return objects_.erase(reinterpret_cast<std::uintptr_t>(handle)) != 0; }
  template <class Predicate>
  void remove_if(Predicate predicate) {
    std::erase_if(objects_, [&](const auto& entry) { return predicate(*entry.second); });
  }
  template <class Predicate>
  Object* find_if(Predicate predicate) const {
    for (const auto& [number, object] : objects_) {
      if (predicate(*object)) return object.get();
    }
    return nullptr;
  }

 private:
  std::unordered_map<std::uintptr_t, std::unique_ptr<Object>> objects_;
  // Every kind of handle has its own range of numbers, and none is an address.
  std::uintptr_t next_ = [] {
    static std::uintptr_t kinds = 0;
    return ++kinds << 40;
  }();
};

struct Context {
  int device;
  int retained = 0;
  CUresult error = CUDA_SUCCESS;  // sticks: every call returns it
  Memory memory;
  Queues queues{error};
  QueuePtr legacy = std::make_shared<Queue>(true);   // of the legacy default stream
  std::map<std::thread::id, QueuePtr> per_thread{};  // of the default streams of threads
  double milliseconds = 0;                           // that its kernels have taken; see device.h
};

struct Module {
  Context* context;
  int capability;  // of its image, 80 for 8.0
};

struct Function {
  Context* context;
  CUmodule module;
  const Kernel* kernel;
  int capability;                       // of its module
  std::size_t shared_bytes = 48 << 10;  // limit of a launch
};

/// A node of a graph. It runs after nodes that stand before it.
struct Node {
  Operation operation;
  std::vector<std::size_t> after;
};

struct Stream {
  Context* context;
  bool blocking;
  enum Capture { none, capturing, invalidated } capture = none;
  std::thread::id capturing_thread{};
  Stream* origin = nullptr;          // began the capture; null for that stream itself
  unsigned captures = 0;             // that it began
  std::vector<Node> captured{};      // of the origin: the nodes of all streams
  std::vector<std::size_t> after{};  // the nodes that the next one of this stream runs after
  QueuePtr queue = std::make_shared<Queue>(blocking);

  Stream& capture_origin() { return origin == nullptr ? *this : *origin; }
  /// That of the whole capture, which an error in any of its streams ends.
  Capture capture_status() const { return origin == nullptr ? capture : origin->capture; }
  void add(Operation operation) {
    std::vector<Node>& nodes = capture_origin().captured;
    nodes.push_back({std::move(operation), std::move(after)});
    after = {nodes.size() - 1};
  }
};

/// A point of a stream that an event was recorded at.
struct Recorded {
  PointPtr end;             // null if it was passed at once
  double milliseconds = 0;  // of the context, then

  bool is_passed() const { return end == nullptr || end->is_passed(); }
};

struct Event {
  Context* context;
  bool timed;
  bool blocking;  // who waits for it sleeps, instead of polling
  bool captured = false;
  std::shared_ptr<Recorded> recorded = nullptr;  // the last one
  Stream* origin = nullptr;                      // of the capture that it was recorded in
  unsigned capture_number = 0;                   // among those of `origin`
  std::vector<std::size_t> after{};              // the nodes of that capture before it
};

/// Work that is launched, and may still run when the graph was destroyed.
struct Graph {
  Context* context;
  std::shared_ptr<const std::vector<Node>> nodes;
};

struct State {
  std::mutex mutex;
  bool initialised = false;
  Handles<CUcontext, Context> contexts;
  std::map<int, CUcontext> primary_contexts;
  Handles<CUmodule, Module> modules;
  Handles<CUfunction, Function> functions;
  Handles<CUstream, Stream> streams;
  Handles<CUevent, Event> events;
  Handles<CUgraph, Graph> graphs;
  Handles<CUgraphExec, Graph> executables;

  /// The stream whose capture this thread began, or null.
  Stream* capture_of_this_thread() const;
  /// Destroys a context and all objects that it still has.
  void destroy(CUcontext context);
};

/// Never destroyed: threads may call until the process ends.
State& state();

extern thread_local CUcontext current_context;

void report(const std::string& message);

}  // namespace emu

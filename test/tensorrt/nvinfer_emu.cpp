// libnvinfer_emu.so: TensorRT without a GPU, for tests of what calls it. It exports the same functions, its objects have
// the same slots, its parser reads our exported backbone, and its engines compute on the CPU, in the memory of the
// emulated driver that DINOV3_FLOW_CUDA_DRIVER names. The slots are written down here a second time, so that a slip in
// the engine's table ends a test.

#include <dlfcn.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "emulated_backbone.h"
#include "object.h"
#include "settings.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace nvinfer_emu {

namespace {

bool newer() { return version().major >= 11; }
/// The slot of a function in versions 10 and 11.
int slot(int in_10, int in_11) { return newer() ? in_11 : in_10; }

void note(const char* what) {
  if (const std::string file(setting("NVINFER_EMU_LOG", "")); !file.empty()) std::ofstream(file, std::ios::app) << what << '\n';
}

/// ILogger::log, the first function of version 10, the fifth of version 11.
void tell_error(void* logger, const char* message) {
  using Log = void (*)(void*, std::int32_t, const char*);
  void* const* const table = *static_cast<void* const* const*>(logger);
  reinterpret_cast<Log>(table[newer() ? 4 : 0])(logger, 1, message);
}

/// IProgressMonitor: its functions come after the four of IVersionedInterface.
struct Monitor {
  void* object;
  template <class Result, class... Arguments>
  Result call(int entry, Arguments... arguments) const {
    using Function = Result (*)(void*, Arguments...);
    void* const* const table = *static_cast<void* const* const*>(object);
    return reinterpret_cast<Function>(table[entry])(object, arguments...);
  }
};

// ---- memory and files -----------------------------------------------------------------------------------------------

struct HostMemory {
  std::vector<std::byte> bytes;
};

void* make_memory(std::vector<std::byte> bytes) {
  using It = Object<HostMemory>;
  auto* memory = new It({std::move(bytes)});
  return memory->at(0, +[](void* self) -> void* { return It::of(self).bytes.data(); })
      .at(1, +[](void* self) { return It::of(self).bytes.size(); })
      .finish();
}

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* const first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

/// A plan is a line with the version that made it, and the ONNX file.
std::string header() {
  const auto [major, minor, patch] = version();
  return "plan of " + std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch) + "\n";
}

// ---- building -------------------------------------------------------------------------------------------------------

struct TimingCache {
  std::string content;
};

struct Config {
  void* timing_cache = nullptr;
  void* monitor = nullptr;
};

struct Network {
  std::vector<std::byte> onnx;
};

struct Builder {
  void* logger;
};

void* make_timing_cache(std::string content) {
  using It = Object<TimingCache>;
  auto* cache = new It({std::move(content)});
  return cache->at(0, +[](void* self) -> void* { return make_memory(bytes_of(It::of(self).content)); }).finish();
}

void* make_config() {
  using It = Object<Config>;
  auto* config = new It({});
  return config
      ->at(slot(38, 27),
           +[](void*, const void* data, std::size_t size) -> void* {
             const std::string content(static_cast<const char*>(data), size);
             // As the real one, it takes only a cache of its own version.
             return content.empty() || content.starts_with(header()) ? make_timing_cache(content) : nullptr;
           })
      .at(slot(39, 28),
          +[](void* self, void* cache, bool /*any device*/) {
            It::of(self).timing_cache = cache;
            return true;
          })
      .at(slot(40, 29), +[](void* self) { return It::of(self).timing_cache; })
      .at(slot(54, 43), +[](void* self, void* monitor) { It::of(self).monitor = monitor; })
      .finish();
}

/// Tells phases and steps as a build does. False if it is to end.
bool report(const Monitor& monitor) {
  constexpr int steps = 4;
  const char *const root = "Building", *const inner = "Timing", *const none = nullptr;
  monitor.call<void>(4, root, none, 2);
  bool go_on = true;
  for (int i = 0; i < 2 && go_on; i++) {
    monitor.call<void>(4, inner, root, steps);
    for (int step = 0; go_on && (step < steps || fault("hang")); step++) {
      go_on = monitor.call<bool>(5, inner, std::min(step, steps - 1));
      if (fault("hang")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    monitor.call<void>(6, inner);
    go_on = go_on && monitor.call<bool>(5, root, i);
  }
  monitor.call<void>(6, root);
  return go_on;
}

void* build(Builder& builder, Network& network, Config& config) {
  note("build");
  if (config.monitor != nullptr && !report({config.monitor})) return nullptr;
  if (fault("build")) {
    tell_error(builder.logger, "Error Code 10: Could not find any implementation for node {ForeignNode[...]}");
    return nullptr;
  }
  if (config.timing_cache != nullptr) {
    static_cast<Object<TimingCache>*>(config.timing_cache)->state.content = header() + "timings";
  }
  note("built");
  std::vector<std::byte> plan = bytes_of(header());
  plan.insert(plan.end(), network.onnx.begin(), network.onnx.end());
  return make_memory(std::move(plan));
}

void* make_builder(void* logger) {
  using It = Object<Builder>;
  auto* builder = new It({logger});
  return builder->at(slot(5, 3), +[](void*) -> void* { return make_config(); })
      .at(slot(6, 4),
          +[](void*, std::uint32_t flags) -> void* {
            if (fault("network") || flags != (newer() ? 0U : 2U)) return nullptr;  // 2: strongly typed
            return (new Object<Network>({}))->finish();
          })
      .at(slot(12, 9),
          +[](void* self, void* network, void* config) -> void* {
            return build(It::of(self), static_cast<Object<Network>*>(network)->state,
                         static_cast<Object<Config>*>(config)->state);
          })
      .finish();
}

// ---- parsing --------------------------------------------------------------------------------------------------------

/// IParserError and IParser: classes without an implementation behind them.
struct ParserError {
  void* const* table;
  std::string description;
  Table functions = unknown_table();
};

struct Parser {
  void* const* table;
  Object<Network>* network;
  ParserError error;
  Table functions = unknown_table();
};

void* make_parser(void* network) {
  auto* parser = new Parser{.table = nullptr, .network = static_cast<Object<Network>*>(network), .error = {}};
  live_objects()++;
  parser->table = parser->functions.data();
  parser->error.table = parser->error.functions.data();
  parser->error.functions[1] =
      reinterpret_cast<void*>(+[](void* self) { return static_cast<ParserError*>(self)->description.c_str(); });
  Table& functions = parser->functions;
  functions[0] = reinterpret_cast<void*>(+[](void* self, const void* data, std::size_t size, const char*) {
    auto& it = *static_cast<Parser*>(self);
    const auto* const bytes = static_cast<const std::byte*>(data);
    try {
      if (fault("parse")) throw std::runtime_error("In node 7 with name: and operator: LayerNormalization");
      const EmulatedBackbone known(read_onnx({bytes, size}));
    } catch (const std::exception& error) {
      it.error.description = error.what();
      return false;
    }
    it.network->state.onnx.assign(bytes, bytes + size);
    return true;
  });
  const auto at = [&](int in_10, int in_11) -> void*& { return functions.at(static_cast<std::size_t>(slot(in_10, in_11))); };
  at(5, 3) = reinterpret_cast<void*>(+[](void* self) { return static_cast<Parser*>(self)->error.description.empty() ? 0 : 1; });
  at(6, 4) = reinterpret_cast<void*>(+[](void* self, int) -> void* { return &static_cast<Parser*>(self)->error; });
  at(9, 7) = reinterpret_cast<void*>(+[](void* self) {
    live_objects()--;
    delete static_cast<Parser*>(self);
  });
  return parser;
}

// ---- running --------------------------------------------------------------------------------------------------------

struct Dims {
  std::int32_t count;
  std::int64_t of[8];
};

using Backbone = std::shared_ptr<const EmulatedBackbone>;

struct Engine {
  Backbone backbone;
};

struct Context {
  Backbone backbone;
  void* memory = nullptr;
  void *patches = nullptr, *features = nullptr;
};

/// What an enqueued run does, with the addresses of that moment, as a captured graph keeps them.
struct Run {
  Backbone backbone;
  void* memory;
  void *patches, *features;
};

constexpr std::int64_t memory_bytes = 4096;

void execute(void* data) {
  const auto& run = *static_cast<const Run*>(data);
  std::memset(run.memory, 0x5a, memory_bytes);  // as an engine's intermediate results would
  auto* const features = static_cast<float*>(run.features);
  run.backbone->run(run.patches, features);
  const auto values = static_cast<std::size_t>(run.backbone->rows()) * static_cast<std::size_t>(run.backbone->dim());
  for (std::size_t i = 0; i < values; i++) {
    if (fault("wrong")) features[i] = std::sin(static_cast<float>(i));
    if (fault("nan") && i % 7 == 3) features[i] = std::nanf("");
  }
  if (fault("slow")) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

using LaunchHostFunc = int (*)(void* stream, void (*)(void*), void*);

LaunchHostFunc launch_host_func() {
  void* const driver = dlopen(std::getenv("DINOV3_FLOW_CUDA_DRIVER"), RTLD_NOW | RTLD_NOLOAD);
  return reinterpret_cast<LaunchHostFunc>(dlsym(driver, "cuLaunchHostFunc"));
}

void* make_context(const Engine& engine) {
  using It = Object<Context>;
  auto* context = new It({.backbone = engine.backbone});
  return context
      ->at(slot(47, 46),
           +[](void* self, void* memory, std::int64_t size) {
             if (size >= memory_bytes) It::of(self).memory = memory;
           })
      .at(slot(22, 21),
          +[](void* self, const char* name, void* address) {
            (std::string_view(name) == "patches" ? It::of(self).patches : It::of(self).features) = address;
            return address != nullptr;
          })
      .at(slot(35, 34),
          +[](void* self, void* stream) {
            const Context& it = It::of(self);
            if (fault("enqueue") || it.memory == nullptr || it.patches == nullptr || it.features == nullptr) return false;
            // A graph may replay it at any later time.
            static auto& runs = *new std::vector<std::unique_ptr<Run>>;
            runs.push_back(std::make_unique<Run>(Run{it.backbone, it.memory, it.patches, it.features}));
            return launch_host_func()(stream, execute, runs.back().get()) == 0;
          })
      .finish();
}

void* make_engine(Backbone backbone) {
  using It = Object<Engine>;
  auto* engine = new It({std::move(backbone)});
  return engine
      ->at(3,
           +[](void* self, std::int32_t strategy) -> void* {
             return strategy == 2 ? make_context(It::of(self)) : nullptr;  // 2: the caller gives the memory
           })
      .at(slot(50, 42), +[](void*) { return memory_bytes; })
      .at(slot(28, 24), +[](void*) -> std::int32_t { return fault("tensors") ? 3 : 2; })
      .at(slot(29, 25), +[](void*, std::int32_t i) { return i == 0 ? "patches" : "features"; })
      .at(slot(17, 13),
          +[](void* self, const char* name) {
            const EmulatedBackbone& backbone = *It::of(self).backbone;
            return Dims{2, {backbone.rows(), std::string_view(name) == "patches" ? backbone.columns() : backbone.dim()}};
          })
      .at(slot(18, 14),
          +[](void* self, const char* name) -> std::int32_t {
            return std::string_view(name) == "patches" && It::of(self).backbone->half() ? 1 : 0;
          })
      .at(slot(21, 17), +[](void*, const char* name) -> std::int32_t { return std::string_view(name) == "patches" ? 1 : 2; })
      .finish();
}

struct Runtime {
  void* logger;
};

void* deserialize(const Runtime& runtime, const void* data, std::size_t size) {
  const std::string_view plan(static_cast<const char*>(data), size);
  const std::string expected = header();
  const char* reason = nullptr;
  if (!plan.starts_with("plan of ")) {
    reason = "Error Code 1: Serialization assertion magicTagRead == kMAGIC_TAG failed";
  } else if (!plan.starts_with(expected) || fault("deserialize")) {
    reason = "Error Code 6: The engine plan file is not compatible with this version of TensorRT";
  }
  if (reason == nullptr) {
    try {
      const auto* const onnx = static_cast<const std::byte*>(data) + expected.size();
      auto backbone = std::make_shared<const EmulatedBackbone>(read_onnx({onnx, size - expected.size()}));
      note("loaded");
      return make_engine(std::move(backbone));
    } catch (const std::exception&) {
      reason = "Error Code 4: Internal Error (the plan is truncated)";
    }
  }
  tell_error(runtime.logger, reason);
  return nullptr;
}

void* make_runtime(void* logger) {
  using It = Object<Runtime>;
  auto* runtime = new It({logger});
  return runtime
      ->at(1, +[](void* self, const void* data, std::size_t size) { return deserialize(It::of(self), data, size); })
      .finish();
}

}  // namespace

int& live_objects() {
  static int count = 0;
  return count;
}

}  // namespace nvinfer_emu

EXPORT int getInferLibVersion() {
  const auto [major, minor, patch] = nvinfer_emu::version();
  return (major < 10 ? 1000 : 10000) * major + 100 * minor + patch;
}

EXPORT void* createInferBuilder_INTERNAL(void* logger, int version) {
  return version == getInferLibVersion() ? nvinfer_emu::make_builder(logger) : nullptr;
}

EXPORT void* createInferRuntime_INTERNAL(void* logger, int version) {
  return version == getInferLibVersion() ? nvinfer_emu::make_runtime(logger) : nullptr;
}

EXPORT void* createNvOnnxParser_INTERNAL(void* network, void* /*logger*/, int /*version*/) {
  return nvinfer_emu::make_parser(network);
}

/// Of the double alone: how many objects live.
EXPORT int nvinfer_emu_objects() { return nvinfer_emu::live_objects(); }

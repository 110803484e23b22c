#include "tensorrt/build.h"

#include "ops/error.h"
#include "tensorrt/abi.h"
#include "tensorrt/progress.h"

namespace flow::tensorrt {

namespace {

/// A build: TensorRT's builder, and what it is given.
class Build {
 public:
  explicit Build(const Library& library) : library_(library), slots_(*library.slots) {
    forget_messages();
    builder_ = Owned(made<Object>(library.create_builder(library.logger(), library.number), "makes no builder"));
    network_ =
        Owned(made(call<Object*>(builder_.get(), slots_.create_network, slots_.strongly_typed), "makes no network"));
    config_ = Owned(made(call<Object*>(builder_.get(), slots_.create_builder_config), "makes no configuration"));
  }

  void parse(std::span<const std::byte> onnx) {
    parser_ = Owned<void>(made<void>(library_.create_parser(network_.get(), library_.logger(), library_.number),
                                     "makes no parser of ONNX"),
                          slots_.parser_destructor);
    const char* const no_path = nullptr;
    const auto* const data = static_cast<const void*>(onnx.data());
    if (call_entry<bool>(parser_.get(), slots_.parse, data, onnx.size(), no_path)) return;
    std::string reason = "cannot read the network";
    if (call_entry<int>(parser_.get(), slots_.get_nb_errors) > 0) {
      void* const error = call_entry<void*>(parser_.get(), slots_.get_error, 0);
      reason += std::string(": ") + call_entry<const char*>(error, slots_.error_description);
    }
    fail(library_, reason);
  }

  /// A cache of another device or version is of no use, and no failure.
  void use_timing_cache(std::span<const std::byte> content) {
    const auto create = [&](std::span<const std::byte> bytes) {
      const auto* const data = static_cast<const void*>(bytes.data());
      return call<Object*>(config_.get(), slots_.create_timing_cache, data, bytes.size());
    };
    timing_cache_ = Owned(create(content));
    if (!timing_cache_) timing_cache_ = Owned(made(create({}), "makes no timing cache"));
    const bool any_device = false;
    if (call<bool>(config_.get(), slots_.set_timing_cache, timing_cache_.get(), any_device)) return;
    timing_cache_ = Owned(made(create({}), "makes no timing cache"));
    call<bool>(config_.get(), slots_.set_timing_cache, timing_cache_.get(), any_device);
  }

  std::vector<std::byte> run(Progress& progress) {
    ProgressMonitor* const monitor = &progress;
    call<void>(config_.get(), slots_.set_progress_monitor, monitor);
    const Owned plan(call<Object*>(builder_.get(), slots_.build_serialized_network, network_.get(), config_.get()));
    if (progress.ended()) throw Error(ErrorCode::aborted, "the build was aborted");
    return bytes_of(made(plan.get(), "builds no engine"));
  }

  std::vector<std::byte> timing_cache() const {
    const auto* const cache = call<const Object*>(config_.get(), slots_.get_timing_cache);
    if (cache == nullptr) return {};
    const Owned content(call<Object*>(cache, slots_.serialize));
    return content ? bytes_of(content.get()) : std::vector<std::byte>{};
  }

 private:
  template <class Type>
  Type* made(void* object, const char* otherwise) const {
    if (object == nullptr) fail(library_, otherwise);
    return static_cast<Type*>(object);
  }
  Object* made(Object* object, const char* otherwise) const { return made<Object>(object, otherwise); }

  std::vector<std::byte> bytes_of(const Object* memory) const {
    const auto* const data = call<const std::byte*>(memory, slots_.data);
    return {data, data + call<std::size_t>(memory, slots_.size)};
  }

  const Library& library_;
  const Slots& slots_;
  // Freed in the order from the last to the first.
  Owned<> builder_, network_, config_, timing_cache_;
  Owned<void> parser_;
};

}  // namespace

BackboneCompiler::Built build(const Library& library, std::span<const std::byte> onnx,
                              std::span<const std::byte> timing_cache, const std::function<bool(float)>& go_on) {
  Progress progress(go_on);  // outlives the configuration that refers to it
  Build build(library);
  build.parse(onnx);
  build.use_timing_cache(timing_cache);
  BackboneCompiler::Built built;
  built.plan = build.run(progress);
  built.timing_cache = build.timing_cache();
  return built;
}

}  // namespace flow::tensorrt

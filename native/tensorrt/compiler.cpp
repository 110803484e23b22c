#include "tensorrt/compiler.h"

#include <algorithm>
#include <string_view>

#include "cuda/memory.h"
#include "ops/error.h"
#include "tensorrt/abi.h"
#include "tensorrt/build.h"

namespace flow::tensorrt {

namespace {

/// A plan that was loaded: an engine, and the memory that it works in.
class Engine : public CompiledBackbone {
 public:
  Engine(const Library& library, std::span<const std::byte> plan, const cuda::Stream& stream)
      : library_(library), slots_(*library.slots), stream_(stream) {
    forget_messages();
    runtime_ = Owned(made(library.create_runtime(library.logger(), library.number), "makes no runtime"));
    const auto* const data = static_cast<const void*>(plan.data());
    engine_ = Owned(
        made(call<void*>(runtime_.get(), slots_.deserialize_cuda_engine, data, plan.size()), "does not take the plan"));
    context_ = Owned(made(call<void*>(engine_.get(), slots_.create_execution_context, Allocation::user_managed),
                          "makes no context"));
    const auto bytes = call<std::int64_t>(engine_.get(), slots_.get_device_memory_size);
    if (bytes < 0) fail(library_, "does not tell the memory that it needs");
    memory_ = std::make_unique<cuda::DeviceMemory>(static_cast<std::size_t>(bytes), stream);
    call<void>(context_.get(), slots_.set_device_memory, memory_->data(), bytes);
  }

  ~Engine() override {
    const cuda::Context::Scope scope(*stream_.context());
    context_ = {};
    memory_.reset();
    engine_ = {};
    runtime_ = {};
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Throws unless the engine has two tensors: these.
  void expect(OperandMatrix patches, Precision precision, RealMatrix features) const {
    const int tensors = call<std::int32_t>(engine_.get(), slots_.get_nb_io_tensors);
    if (tensors != 2) fail(library_, "was given a plan with " + std::to_string(tensors) + " tensors, not two");
    expect_tensor("patches", IOMode::input, precision == Precision::fp16 ? DataType::float16 : DataType::float32,
                  patches.rows, patches.stride);
    if (features.stride != features.cols) fail(library_, "writes features without padding, which this model's have");
    expect_tensor("features", IOMode::output, DataType::float32, features.rows, features.cols);
  }

  void run(OperandMatrix patches, RealMatrix features) override {
    const cuda::Context::Scope scope(*stream_.context());
    const bool queued = bind("patches", patches.data) && bind("features", features.data) &&
                        call<bool>(context_.get(), slots_.enqueue, stream_.get());
    if (!queued) fail(library_, "does not run the engine");
  }

 private:
  void expect_tensor(std::string_view name, IOMode mode, DataType type, int rows, int cols) const {
    for (std::int32_t i = 0; i < 2; i++) {
      const char* const known = call<const char*>(engine_.get(), slots_.get_io_tensor_name, i);
      if (known == nullptr || name != known) continue;
      const auto shape = call<Dims>(engine_.get(), slots_.get_tensor_shape, known);
      if (call<IOMode>(engine_.get(), slots_.get_tensor_io_mode, known) == mode &&
          call<DataType>(engine_.get(), slots_.get_tensor_data_type, known) == type && shape.count == 2 &&
          shape.of[0] == rows && shape.of[1] == cols) {
        return;
      }
      fail(library_, "was given a plan with '" + std::string(name) + "' of another shape or type");
    }
    fail(library_, "was given a plan without '" + std::string(name) + "'");
  }

  bool bind(const char* name, void* data) { return call<bool>(context_.get(), slots_.set_tensor_address, name, data); }

  Object* made(void* object, const char* otherwise) const {
    if (object == nullptr) fail(library_, otherwise);
    return static_cast<Object*>(object);
  }

  Library library_;
  const Slots& slots_;
  const cuda::Stream& stream_;
  Owned<> runtime_, engine_, context_;
  std::unique_ptr<cuda::DeviceMemory> memory_;
};

}  // namespace

Compiler::Compiler(const cuda::Stream& stream, Precision precision) : stream_(stream), precision_(precision) {
  try {
    if (precision == Precision::bf16) {
      throw Error(ErrorCode::device, "TensorRT: its engines are for fp16 and fp32, not for bf16");
    }
    library_ = Library::open();
    info_ = {.name = "TensorRT " + library_.version.text(),
             .version = library_.version.text(),
             .library = library_.path,
             .reason = {}};
  } catch (const Error& error) {
    info_.reason = error.what();
  }
}

const Library& Compiler::library() const {
  if (!info_.reason.empty()) throw Error(ErrorCode::device, info_.reason);
  return library_;
}

BackboneCompiler::Built Compiler::build(std::span<const std::byte> onnx, std::span<const std::byte> timing_cache,
                                        const std::function<bool(float)>& go_on) const {
  const cuda::Context::Scope scope(*stream_.context());
  return tensorrt::build(library(), onnx, timing_cache, go_on);
}

std::unique_ptr<CompiledBackbone> Compiler::load(std::span<const std::byte> plan, OperandMatrix patches,
                                                 RealMatrix features) const {
  const cuda::Context::Scope scope(*stream_.context());
  auto engine = std::make_unique<Engine>(library(), plan, stream_);
  engine->expect(patches, precision_, features);
  return engine;
}

}  // namespace flow::tensorrt

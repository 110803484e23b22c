// Compares our slots with TensorRT's own headers, where they are installed. A pointer to a virtual member function
// holds the function's place in its class's table.

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <cstring>

#include "../native/check.h"
#include "tensorrt/abi.h"
#include "tensorrt/slots.h"

namespace flow::tensorrt {

namespace {

using namespace nvinfer1;

constexpr const Slots& slots = NV_TENSORRT_MAJOR == 10 ? slots_10 : slots_11;

/// The entry of a virtual function in its class's table, by the Itanium C++ ABI: on x86-64 the offset is one too high,
/// to tell it from an address; on AArch64 another word tells them apart.
template <class Function>
int entry_of(Function function) {
  std::ptrdiff_t words[2] = {0, 0};
  static_assert(sizeof(function) == sizeof(words));
  std::memcpy(words, &function, sizeof(words));
#ifdef __aarch64__
  return static_cast<int>(words[0] / static_cast<std::ptrdiff_t>(sizeof(void*)));
#else
  return static_cast<int>((words[0] - 1) / static_cast<std::ptrdiff_t>(sizeof(void*)));
#endif
}

template <class Function>
void at(const char* name, Function function, int slot) {
  const int entry = entry_of(function) - destructor_entries;
  check::that(entry == slot, name, " is at slot ", entry, ", not at ", slot);
}

#define SLOT(type, function, slot) at(#type "::" #function, &apiv::type::function, slots.slot)

const check::Register builder("The slots of the builder are those of TensorRT's headers", [] {
  check::that(NV_TENSORRT_MAJOR == slots.major, "these are headers of version ", NV_TENSORRT_MAJOR);
  SLOT(VBuilder, createBuilderConfig, create_builder_config);
  SLOT(VBuilder, createNetworkV2, create_network);
  SLOT(VBuilder, buildSerializedNetwork, build_serialized_network);
  SLOT(VBuilderConfig, createTimingCache, create_timing_cache);
  SLOT(VBuilderConfig, setTimingCache, set_timing_cache);
  SLOT(VBuilderConfig, getTimingCache, get_timing_cache);
  SLOT(VBuilderConfig, setProgressMonitor, set_progress_monitor);
  SLOT(VTimingCache, serialize, serialize);
  SLOT(VHostMemory, data, data);
  SLOT(VHostMemory, size, size);
#if NV_TENSORRT_MAJOR == 10
  constexpr unsigned typed = 1U << static_cast<unsigned>(NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
  check::that(slots.strongly_typed == typed, "networks are strongly typed by ", typed);
#endif
});

const check::Register runtime("The slots of the runtime are those of TensorRT's headers", [] {
  using Deserialize = ICudaEngine* (apiv::VRuntime::*)(const void*, std::size_t);
  at("VRuntime::deserializeCudaEngine", static_cast<Deserialize>(&apiv::VRuntime::deserializeCudaEngine),
     slots.deserialize_cuda_engine);
  SLOT(VCudaEngine, createExecutionContext, create_execution_context);
  SLOT(VCudaEngine, getDeviceMemorySizeV2, get_device_memory_size);
  SLOT(VCudaEngine, getNbIOTensors, get_nb_io_tensors);
  SLOT(VCudaEngine, getIOTensorName, get_io_tensor_name);
  SLOT(VCudaEngine, getTensorShape, get_tensor_shape);
  SLOT(VCudaEngine, getTensorDataType, get_tensor_data_type);
  SLOT(VCudaEngine, getTensorIOMode, get_tensor_io_mode);
  SLOT(VExecutionContext, setDeviceMemoryV2, set_device_memory);
  SLOT(VExecutionContext, setTensorAddress, set_tensor_address);
  SLOT(VExecutionContext, enqueueV3, enqueue);
});

const check::Register parser("The slots of the parser are those of TensorRT's headers", [] {
  using nvonnxparser::IParser, nvonnxparser::IParserError;
  const auto without_base = [](const char* name, int entry, int slot) {
    check::that(entry == slot, name, " is at entry ", entry, ", not at ", slot);
  };
  without_base("IParser::parse", entry_of(&IParser::parse), slots.parse);
  without_base("IParser::getNbErrors", entry_of(&IParser::getNbErrors), slots.get_nb_errors);
  without_base("IParser::getError", entry_of(&IParser::getError), slots.get_error);
  // The destructor comes after clearErrors and before getUsedVCPluginLibraries; its address cannot be taken.
  without_base("what comes before IParser's destructor", entry_of(&IParser::clearErrors) + 1, slots.parser_destructor);
  without_base("what comes after IParser's destructor", entry_of(&IParser::getUsedVCPluginLibraries),
               slots.parser_destructor + destructor_entries);
  without_base("IParserError::desc", entry_of(&IParserError::desc), slots.error_description);
});

template <class Ours, class Theirs>
void same(const char* name, Ours ours, Theirs theirs) {
  check::that(static_cast<int>(ours) == static_cast<int>(theirs), name, " is ", static_cast<int>(theirs));
}

const check::Register values("Enumerations and structures are those of TensorRT's headers", [] {
  same("kERROR", Severity::error, ILogger::Severity::kERROR);
  same("kWARNING", Severity::warning, ILogger::Severity::kWARNING);
  same("kFLOAT", flow::tensorrt::DataType::float32, nvinfer1::DataType::kFLOAT);
  same("kHALF", flow::tensorrt::DataType::float16, nvinfer1::DataType::kHALF);
  same("kINPUT", IOMode::input, TensorIOMode::kINPUT);
  same("kOUTPUT", IOMode::output, TensorIOMode::kOUTPUT);
  same("kUSER_MANAGED", Allocation::user_managed, ExecutionContextAllocationStrategy::kUSER_MANAGED);
  check::that(sizeof(flow::tensorrt::Dims) == sizeof(nvinfer1::Dims), "a shape has ", sizeof(nvinfer1::Dims), " bytes");
  check::that(sizeof(flow::tensorrt::InterfaceInfo) == sizeof(nvinfer1::InterfaceInfo), "InterfaceInfo has another size");
});

const check::Register interfaces("What TensorRT calls is where its headers have it", [] {
  const int log = NV_TENSORRT_MAJOR == 10 ? entry_of(&Logger10::log) : entry_of(&Logger11::log);
  check::that(entry_of(&ILogger::log) == log, "ILogger::log is elsewhere");
  check::that(entry_of(&IProgressMonitor::phaseStart) == entry_of(&ProgressMonitor::phase_start), "phaseStart");
  check::that(entry_of(&IProgressMonitor::stepComplete) == entry_of(&ProgressMonitor::step_complete), "stepComplete");
  check::that(entry_of(&IProgressMonitor::phaseFinish) == entry_of(&ProgressMonitor::phase_finish), "phaseFinish");
  check::that(entry_of(&IProgressMonitor::getInterfaceInfo) == entry_of(&ProgressMonitor::interface), "getInterfaceInfo");
});

}  // namespace

}  // namespace flow::tensorrt

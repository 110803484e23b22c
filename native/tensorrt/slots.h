#pragma once

namespace flow::tensorrt {

/// Where the functions that we call are in the tables of TensorRT's classes. A slot is counted from the first virtual
/// function after the destructor. Its public headers fix the slots of a major version (`nvinfer1::apiv::V*`): these are
/// the same in 10.0 to 10.16, and in 11.0 and 11.1. test/tensorrt/headers_test.cpp compares them with headers.
struct Slots {
  int major;
  /// Of createNetworkV2: the types of tensors are those of the network, which are optional before version 11.
  unsigned strongly_typed;

  // IBuilder
  int create_builder_config;
  int create_network;
  int build_serialized_network;
  // IBuilderConfig
  int create_timing_cache;
  int set_timing_cache;
  int get_timing_cache;
  int set_progress_monitor;
  // ITimingCache
  int serialize;
  // IHostMemory
  int data;
  int size;
  // IRuntime
  int deserialize_cuda_engine;
  // ICudaEngine
  int create_execution_context;
  int get_device_memory_size;
  int get_nb_io_tensors;
  int get_io_tensor_name;
  int get_tensor_shape;
  int get_tensor_data_type;
  int get_tensor_io_mode;
  // IExecutionContext
  int set_device_memory;
  int set_tensor_address;
  int enqueue;
  // nvonnxparser::IParser, a class without a base: its destructor comes after these
  int parse;
  int get_nb_errors;
  int get_error;
  int parser_destructor;
  // nvonnxparser::IParserError, likewise
  int error_description;
};

constexpr Slots slots_10{.major = 10,
                         .strongly_typed = 1U << 1,
                         .create_builder_config = 5,
                         .create_network = 6,
                         .build_serialized_network = 12,
                         .create_timing_cache = 38,
                         .set_timing_cache = 39,
                         .get_timing_cache = 40,
                         .set_progress_monitor = 54,
                         .serialize = 0,
                         .data = 0,
                         .size = 1,
                         .deserialize_cuda_engine = 1,
                         .create_execution_context = 3,
                         .get_device_memory_size = 50,
                         .get_nb_io_tensors = 28,
                         .get_io_tensor_name = 29,
                         .get_tensor_shape = 17,
                         .get_tensor_data_type = 18,
                         .get_tensor_io_mode = 21,
                         .set_device_memory = 47,
                         .set_tensor_address = 22,
                         .enqueue = 35,
                         .parse = 0,
                         .get_nb_errors = 5,
                         .get_error = 6,
                         .parser_destructor = 8,
                         .error_description = 1};

constexpr Slots slots_11{.major = 11,
                         .strongly_typed = 0,
                         .create_builder_config = 3,
                         .create_network = 4,
                         .build_serialized_network = 9,
                         .create_timing_cache = 27,
                         .set_timing_cache = 28,
                         .get_timing_cache = 29,
                         .set_progress_monitor = 43,
                         .serialize = 0,
                         .data = 0,
                         .size = 1,
                         .deserialize_cuda_engine = 1,
                         .create_execution_context = 3,
                         .get_device_memory_size = 42,
                         .get_nb_io_tensors = 24,
                         .get_io_tensor_name = 25,
                         .get_tensor_shape = 13,
                         .get_tensor_data_type = 14,
                         .get_tensor_io_mode = 17,
                         .set_device_memory = 46,
                         .set_tensor_address = 21,
                         .enqueue = 34,
                         .parse = 0,
                         .get_nb_errors = 3,
                         .get_error = 4,
                         .parser_destructor = 6,
                         .error_description = 1};

}  // namespace flow::tensorrt

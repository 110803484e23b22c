#include "addon/failure.h"

#include <new>
#include <system_error>

namespace flow::addon {

namespace {

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::argument: return "ERR_ARGUMENT";
    case ErrorCode::frame: return "ERR_FRAME";
    case ErrorCode::checkpoint_format: return "ERR_CHECKPOINT_FORMAT";
    case ErrorCode::checkpoint_tensor: return "ERR_CHECKPOINT_TENSOR";
    case ErrorCode::device: return "ERR_DEVICE";
    case ErrorCode::out_of_memory: return "ERR_OUT_OF_MEMORY";
    case ErrorCode::disposed: return "ERR_DISPOSED";
    case ErrorCode::aborted: return "ERR_ABORTED";
    case ErrorCode::precision: return "ERR_PRECISION";
    case ErrorCode::io: return "ERR_IO";
    case ErrorCode::native: return "ERR_NATIVE";
  }
  return "ERR_NATIVE";
}

}  // namespace

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::out_of_memory, "memory ran out: use a smaller size, or free other models"};
  } catch (const std::system_error& error) {  // only std::thread throws it here
    return {ErrorCode::device, std::string("a thread could not be started (") + error.what() +
                                   "): give fewer `threads`, or raise the process's limit"};
  } catch (const std::exception& error) {
    return {ErrorCode::native, error.what()};
  } catch (...) {
    return {ErrorCode::native, "unknown exception"};
  }
}

Napi::Error to_js_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, name_of(failure.code)));
  return error;
}

}  // namespace flow::addon

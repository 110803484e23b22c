#pragma once

#include <napi.h>

#include <string>

#include "ops/error.h"

namespace flow::addon {

/// An exception as data: caught on the model's thread, reported on JavaScript's thread.
struct Failure {
  ErrorCode code;
  std::string message;
};

/// Converts the exception that the enclosing catch block handles.
Failure current_failure();

/// A JavaScript Error whose `code` is a FlowErrorCode of lib/errors.ts.
Napi::Error to_js_error(Napi::Env env, const Failure& failure);

/// Runs the body of a function that JavaScript calls. Every C++ exception becomes a JavaScript Error.
template <class Body>
auto guarded(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_js_error(env, current_failure());
  }
}

}  // namespace flow::addon

#pragma once

#include <napi.h>

#include <string>

#include "ops/error.h"

namespace flow::addon {

/// What went wrong on the model's thread, kept until JavaScript can be told.
struct Failure {
  ErrorCode code;
  std::string message;
};

/// The exception being handled. Call it in a catch block.
Failure current_failure();

/// An Error of JavaScript whose `code` is a FlowErrorCode of lib/errors.ts.
Napi::Error to_js_error(Napi::Env env, const Failure& failure);

/// Runs the body of a function that JavaScript calls: whatever it throws becomes an Error of JavaScript.
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

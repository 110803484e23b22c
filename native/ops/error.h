#pragma once

#include <stdexcept>
#include <string>

namespace flow {

/// The codes of lib/errors.ts that native code can raise.
enum class ErrorCode {
  argument,
  frame,
  checkpoint_format,
  checkpoint_tensor,
  device,
  out_of_memory,
  disposed,
  aborted,
  precision,
  io,
  native
};

/// An error that reaches JavaScript as a FlowError with the same code and message.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace flow

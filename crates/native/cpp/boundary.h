// The border to Rust: nothing is thrown across it.

#pragma once

#include <ATen/record_function.h>
#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace mp {

// Runs `body` as an op of that name and returns null, or what went wrong, valid until the next call on this thread.
template <typename Body>
const char* guarded(const char* op, Body body) {
  // Profiles then list it beside libtorch's own ops: see profile.cpp.
  RECORD_FUNCTION(op, c10::ArrayRef<const c10::IValue>());
  static thread_local std::string last_error;
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  }
  return last_error.c_str();
}

}  // namespace mp

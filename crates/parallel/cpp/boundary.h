// The border to Rust: nothing is thrown across it.

#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace mp {

// Runs `body` and returns null, or what went wrong, valid until the next call on this thread.
template <typename Body>
const char* guarded(Body body) {
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

// Which libtorch this is: see libtorch.rs.

#include <ATen/Version.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <exception>
#include <string>

extern "C" {

// The version of the headers that this file was compiled with.
const char* mp_libtorch_built_for() { return TORCH_VERSION; }

// What the libtorch that is loaded says about itself; null if it cannot.
const char* mp_libtorch_configuration() {
  static const std::string text = [] {
    try {
      return at::show_config();
    } catch (const std::exception&) {
      return std::string();
    }
  }();
  return text.empty() ? nullptr : text.c_str();
}

// The file of the library that is loaded; null if the loader does not say.
const char* mp_libtorch_file() {
  Dl_info info{};
  return dladdr(reinterpret_cast<const void*>(&at::show_config), &info) != 0 ? info.dli_fname : nullptr;
}

}  // extern "C"

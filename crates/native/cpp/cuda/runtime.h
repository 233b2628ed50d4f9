// Functions of the CUDA runtime that libtorch does not wrap. They are looked up in the runtime that libtorch has loaded: linked, it
// would have to be found before libtorch says where it is.

#pragma once

#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

namespace mp {

template <typename Function>
Function* runtime(const char* name) {
  auto* const found = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
  TORCH_CHECK(found != nullptr, "the CUDA runtime has no ", name);
  return found;
}

inline void check(cudaError_t error, const char* what) {
  TORCH_CHECK(error == cudaSuccess, what, " failed with CUDA error ", static_cast<int>(error));
}

}  // namespace mp

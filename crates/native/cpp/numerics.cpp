// How a GPU computes: settings of libtorch that are the whole process's.

#include "boundary.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

extern "C" {

// Whether float32 convolutions and matrix products on a GPU round their factors to TensorFloat-32.
const char* mp_use_tf32(bool on) {
  return mp::guarded("mp::use_tf32", [&] {
    at::globalContext().setAllowTF32CuDNN(on);
    at::globalContext().setAllowTF32CuBLAS(on);
  });
}

// Whether a GPU gives the same bits in every run; otherwise the quickest algorithm of each convolution is found by trying.
const char* mp_use_deterministic(bool on) {
  return mp::guarded("mp::use_deterministic", [&] {
    at::globalContext().setDeterministicCuDNN(on);
    at::globalContext().setBenchmarkCuDNN(!on);
    // What has no such algorithm warns; a run is not ended for it.
    at::globalContext().setDeterministicAlgorithms(on, /*warn_only=*/true);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  });
}
}

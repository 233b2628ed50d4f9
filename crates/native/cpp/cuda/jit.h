// Our own CUDA kernels: compiled for a device, formats and path counts when they are first called, and started on the current
// stream.

#pragma once

#include "geometry.h"

#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <vector>

namespace mp {

// The structures that the kernels take.
namespace calls {
using Number = void;
#include "../../cuda/calls.cuh"
}  // namespace calls

// The files of kernels in cuda/.
enum class Source { kNorm, kMix, kGateInputs, kRoute };

// One way to compile a file.
struct Variant {
  Source source;
  at::ScalarType kind;
  // Numbers that a thread takes at a time.
  int width;
  int sources = 0;
  int targets = 0;
};

// The most numbers that may be taken at a time where rows have a multiple of `count` numbers and the tensors lie as they do: 1, 2,
// 4 or 8.
int width_of(int64_t count, std::initializer_list<const at::Tensor*> tensors);
int width_of(int64_t count, const std::vector<at::Tensor>& tensors);

int multiprocessors(c10::DeviceIndex device);

// Counters for the blocks of one call on the current stream, which leaves them at 0 as it finds them: `kCounters` of them. Calls on
// one stream follow each other and share them; so a graph must be replayed on the stream that it was recorded on, or alone.
constexpr int kCounters = 1024;
unsigned* counters(c10::DeviceIndex device);

// Starts a kernel with `call`, the structure that it takes, and `room` bytes of shared memory.
void launch(const Variant& variant, const char* kernel, const Geometry& geometry, const void* call,
            c10::DeviceIndex device, unsigned room = 0);

}  // namespace mp

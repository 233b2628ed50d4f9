// GPUs: what there is, streams, and the way of a batch to its device.

#include "../boundary.h"
#include "runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace {

// Bytes that one thread copies at a time.
constexpr int64_t kChunk = 1 << 20;

// The stream of uploads to a device, beside that of the work.
c10::cuda::CUDAStream upload_stream(c10::DeviceIndex device) {
  static thread_local std::optional<c10::cuda::CUDAStream> stream;
  if (!stream || stream->device_index() != device) {
    stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device);
  }
  return *stream;
}

// Numbers of the host on a device. The copy starts as soon as the host has passed them on, whatever the device still works at;
// work that is queued from now on waits for it.
at::Tensor upload(const void* numbers, at::IntArrayRef sizes, at::ScalarType kind, c10::DeviceIndex device) {
  const c10::DeviceGuard on(at::Device(at::kCUDA, device));
  const auto pinned = at::empty(sizes, at::TensorOptions().dtype(kind).pinned_memory(true));
  const auto bytes = static_cast<int64_t>(pinned.nbytes());
  auto* const to = static_cast<char*>(pinned.mutable_data_ptr());
  at::parallel_for(0, (bytes + kChunk - 1) / kChunk, 1, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kChunk;
    std::memcpy(to + first, static_cast<const char*>(numbers) + first,
                static_cast<size_t>(std::min(end * kChunk, bytes) - first));
  });
  const auto work = c10::cuda::getCurrentCUDAStream(device);
  const auto side = upload_stream(device);
  at::Tensor result;
  {
    const c10::StreamGuard guard(side.unwrap());
    result = pinned.to(at::Device(at::kCUDA, device), /*non_blocking=*/true);
  }
  c10::Event done(c10::kCUDA);
  done.record(side);
  done.block(work);
  // Made on one stream and read on another: its memory is used again only once both are through.
  c10::cuda::CUDACachingAllocator::recordStream(result.storage().data_ptr(), work);
  return result;
}

}  // namespace

extern "C" {

// Writes the name of a device, of at most `room` bytes with its ending zero, its compute capability (9.0 is 90), its
// multiprocessors, and its free and whole memory in bytes.
const char* mp_cuda_describe(int device, char* name, size_t room, int* capability, int* processors, size_t* free,
                             size_t* total) {
  return mp::guarded("mp::cuda_describe", [&] {
    const auto* properties = at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(device));
    std::strncpy(name, properties->name, room - 1);
    name[room - 1] = 0;
    *capability = properties->major * 10 + properties->minor;
    *processors = properties->multiProcessorCount;
    const c10::DeviceGuard on(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
    mp::check(mp::runtime<cudaError_t(size_t*, size_t*)>("cudaMemGetInfo")(free, total), "cudaMemGetInfo");
  });
}

// Lets this thread queue its work on a stream of its own: the default one cannot be captured.
const char* mp_cuda_leave_default_stream(int device) {
  return mp::guarded("mp::cuda_stream", [&] {
    const auto index = static_cast<c10::DeviceIndex>(device);
    c10::cuda::set_device(index);
    if (c10::cuda::getCurrentCUDAStream(index) == c10::cuda::getDefaultCUDAStream(index)) {
      c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, index));
    }
  });
}

// Writes a new tensor, owned by the caller.
const char* mp_cuda_upload(const void* numbers, const int64_t* sizes, size_t dimensions, int8_t kind, int device,
                           at::Tensor** result) {
  return mp::guarded("mp::upload", [&] {
    *result = new at::Tensor(upload(numbers, at::IntArrayRef(sizes, dimensions), static_cast<at::ScalarType>(kind),
                                    static_cast<c10::DeviceIndex>(device)));
  });
}
}

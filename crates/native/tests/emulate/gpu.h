// A GPU for kernels that are compiled as plain C++: the threads of a block are coroutines that take turns at every barrier, in one
// order or the other, and blocks run one after the other. What a kernel takes from CUDA and what it could get wrong without one
// is here: indices, barriers, shuffles, aligned vectors. Warps are of 32 threads.

#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <vector>

#include "../../cpp/cuda/geometry.h"

#define MP_EMULATED
#define MP_KERNEL static
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define MP_ROOM(name) float* const name = gpu::block->room.data()

using std::sqrt;

struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

inline mp::Extent threadIdx, blockIdx, blockDim, gridDim;

namespace gpu {

// Threads that wait for each other.
struct Barrier {
  unsigned arrived = 0;
  unsigned generation = 0;
};

struct Thread {
  // Where it starts. From then on jumps are quicker, which ask nothing of the system.
  ucontext_t context;
  jmp_buf place;
  bool has_started = false;
  std::vector<char> stack;
  bool is_done = false;
};

struct Block {
  // Of this block, and what is kept of larger ones; a context may not move.
  unsigned size = 0;
  std::deque<Thread> threads;
  std::vector<Barrier> warps;
  std::vector<float> shuffled;
  // What the launch asks for.
  std::vector<float> room;
  Barrier all;
  jmp_buf scheduler;
  unsigned current = 0;
  // Counts whatever happens: where nothing does, the threads wait for ever.
  unsigned long events = 0;
  std::function<void()> kernel;
};

inline Block* block = nullptr;

inline void wait(Barrier& barrier, unsigned of) {
  ++block->events;
  const unsigned generation = barrier.generation;
  if (++barrier.arrived == of) {
    barrier.arrived = 0;
    ++barrier.generation;
    return;
  }
  while (barrier.generation == generation) {
    if (_setjmp(block->threads[block->current].place) == 0) _longjmp(block->scheduler, 1);
  }
}

inline void run_thread() {
  block->kernel();
  block->threads[block->current].is_done = true;
  ++block->events;
  _longjmp(block->scheduler, 1);
}

// Lets a thread run to its next barrier, or to its end.
inline void resume(Thread& thread) {
  if (_setjmp(block->scheduler) != 0) return;
  if (thread.has_started) _longjmp(thread.place, 1);
  thread.has_started = true;
  setcontext(&thread.context);
}

inline void run_block(bool backwards) {
  const unsigned count = blockDim.x * blockDim.y * blockDim.z;
  block->size = count;
  if (block->threads.size() < count) block->threads.resize(count);
  block->warps.assign((count + 31) / 32, {});
  block->shuffled.assign(count, 0.0f);
  block->all = {};
  std::fill(block->room.begin(), block->room.end(), std::nanf(""));
  for (auto& thread : block->threads) {
    thread.is_done = thread.has_started = false;
    if (!thread.stack.empty()) continue;
    thread.stack.resize(1 << 16);
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, run_thread, 0);
  }
  for (bool is_busy = true; is_busy;) {
    is_busy = false;
    const unsigned long before = block->events;
    for (unsigned turn = 0; turn < count; ++turn) {
      const unsigned at = backwards ? count - 1 - turn : turn;
      if (block->threads[at].is_done) continue;
      is_busy = true;
      block->current = at;
      threadIdx = {at % blockDim.x, at / blockDim.x % blockDim.y, at / blockDim.x / blockDim.y};
      resume(block->threads[at]);
    }
    if (is_busy && block->events == before) {
      std::fprintf(stderr, "the threads of a block wait for ever: not all of them are at one barrier\n");
      std::exit(1);
    }
  }
}

// Runs `kernel` on every thread of every block, with `room` bytes of shared memory.
inline void launch(const mp::Geometry& geometry, bool backwards, std::function<void()> kernel, int64_t room = 0) {
  static Block only;
  block = &only;
  block->kernel = std::move(kernel);
  block->room.resize(static_cast<size_t>(room) / sizeof(float));
  gridDim = geometry.grid;
  blockDim = geometry.block;
  const unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
  for (unsigned turn = 0; turn < blocks; ++turn) {
    const unsigned at = backwards ? blocks - 1 - turn : turn;
    blockIdx = {at % gridDim.x, at / gridDim.x % gridDim.y, at / gridDim.x / gridDim.y};
    run_block(backwards);
  }
}

inline unsigned thread() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }

}  // namespace gpu

inline void __syncthreads() { gpu::wait(gpu::block->all, gpu::block->size); }

inline void __threadfence() {}

inline float __shfl_sync(unsigned, float value, int lane) {
  const unsigned thread = gpu::thread(), warp = thread / 32;
  const unsigned size = std::min<unsigned>(32, gpu::block->size - warp * 32);
  gpu::block->shuffled[thread] = value;
  gpu::wait(gpu::block->warps[warp], size);
  const float result = gpu::block->shuffled.at(warp * 32 + static_cast<unsigned>(lane));
  gpu::wait(gpu::block->warps[warp], size);
  return result;
}

inline float __shfl_xor_sync(unsigned mask, float value, int distance) {
  return __shfl_sync(mask, value, static_cast<int>(gpu::thread() % 32) ^ distance);
}

inline unsigned atomicAdd(unsigned* to, unsigned value) {
  const unsigned before = *to;
  *to += value;
  return before;
}

template <typename T>
T __ldcg(const T* from) {
  return *from;
}

inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_of_float16(unsigned short bits) {
  _Float16 value;
  std::memcpy(&value, &bits, sizeof value);
  return static_cast<float>(value);
}

inline unsigned short float16_bits(float value) {
  const auto narrow = static_cast<_Float16>(value);
  unsigned short bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  return bits;
}

// Mixing of paths: Y_j = sum_i g_ij X_i and its gradients, each in one pass over memory.
//
// Compiled for MP_SOURCES sources and MP_TARGETS targets. A block works on one sample (blockIdx.x), or on a part of one
// (blockIdx.y of gridDim.y).

#include "numbers.cuh"

#include "calls.cuh"

constexpr int kSources = MP_SOURCES;
constexpr int kTargets = MP_TARGETS;
constexpr int kPairs = kSources * kTargets;
constexpr int kThreads = 256;

MP_KERNEL void __launch_bounds__(kThreads) mix_forward(const MixCall call) {
  float g[kPairs];
#pragma unroll
  for (int k = 0; k < kPairs; ++k) g[k] = call.weights[static_cast<long long>(blockIdx.x) * kPairs + k];
  const long long sample = static_cast<long long>(blockIdx.x) * call.vectors;
  for (long long v = static_cast<long long>(blockIdx.y) * blockDim.x + threadIdx.x; v < call.vectors;
       v += static_cast<long long>(gridDim.y) * blockDim.x) {
    const long long at = (sample + v) * kWidth;
    Packed numbers[kSources];
#pragma unroll
    for (int i = 0; i < kSources; ++i) numbers[i] = read(call.x[i] + at);
    Values sums[kTargets] = {};
#pragma unroll
    for (int i = 0; i < kSources; ++i) {
      const Values x = widened(numbers[i]);
#pragma unroll
      for (int j = 0; j < kTargets; ++j) {
#pragma unroll
        for (int k = 0; k < kWidth; ++k) sums[j].at[k] += g[i * kTargets + j] * x.at[k];
      }
    }
#pragma unroll
    for (int j = 0; j < kTargets; ++j) write(packed(sums[j]), call.y[j] + at);
  }
}

// dX_i = sum_j g_ij dY_j, and the block's part of dg_ij = <X_i, dY_j>.
MP_KERNEL void __launch_bounds__(kThreads) mix_gradient(const MixGradientCall call) {
  __shared__ float shared[kThreads / 32 * kPairs];
  float g[kPairs], products[kPairs] = {};
#pragma unroll
  for (int k = 0; k < kPairs; ++k) g[k] = call.weights[static_cast<long long>(blockIdx.x) * kPairs + k];
  const long long sample = static_cast<long long>(blockIdx.x) * call.vectors;
  for (long long v = static_cast<long long>(blockIdx.y) * blockDim.x + threadIdx.x; v < call.vectors;
       v += static_cast<long long>(gridDim.y) * blockDim.x) {
    const long long at = (sample + v) * kWidth;
    Packed gradients[kTargets], numbers[kSources];
#pragma unroll
    for (int j = 0; j < kTargets; ++j) gradients[j] = read(call.dy[j] + at);
#pragma unroll
    for (int i = 0; i < kSources; ++i) numbers[i] = read(call.x[i] + at);
#pragma unroll
    for (int i = 0; i < kSources; ++i) {
      const Values x = widened(numbers[i]);
      Values dx = {};
#pragma unroll
      for (int j = 0; j < kTargets; ++j) {
        const Values dy = widened(gradients[j]);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          dx.at[k] += g[i * kTargets + j] * dy.at[k];
          products[i * kTargets + j] += x.at[k] * dy.at[k];
        }
      }
      write(packed(dx), call.dx[i] + at);
    }
  }
  sum_over_block<kPairs>(products, shared,
                         call.dweights + (static_cast<long long>(blockIdx.x) * gridDim.y + blockIdx.y) * kPairs);
}

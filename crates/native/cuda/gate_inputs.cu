// Gated inputs: Z_j = concat_i(g_ij X_i) over the channels, and its gradients, each in one pass over memory.
//
// Compiled for MP_SOURCES sources and MP_TARGETS targets. A block works on one source (blockIdx.z) of one sample (blockIdx.x), or on a
// part of that (blockIdx.y of gridDim.y).

#include "numbers.cuh"

#include "calls.cuh"

constexpr int kSources = MP_SOURCES;
constexpr int kTargets = MP_TARGETS;
constexpr int kThreads = 256;

struct GatePlace {
  long long vector;  // of a source
  long long wide;    // of a target
};

__device__ inline GatePlace gate_place(unsigned vector, unsigned across, long long rows) {
  const unsigned row = vector / across, column = vector % across;
  const long long rows_before = static_cast<long long>(blockIdx.x) * rows + row;
  return {rows_before * across + column, (rows_before * kSources + blockIdx.z) * across + column};
}

MP_KERNEL void __launch_bounds__(kThreads) gate_inputs(const GateInputsCall call) {
  const Number* const x = call.x[blockIdx.z];
  float g[kTargets];
#pragma unroll
  for (int j = 0; j < kTargets; ++j) {
    g[j] = call.weights[(static_cast<long long>(blockIdx.x) * kSources + blockIdx.z) * kTargets + j];
  }
  const unsigned vectors = static_cast<unsigned>(call.rows * call.across);
  for (unsigned v = blockIdx.y * blockDim.x + threadIdx.x; v < vectors; v += gridDim.y * blockDim.x) {
    const GatePlace at = gate_place(v, call.across, call.rows);
    const Values value = widened(read(x + at.vector * kWidth));
#pragma unroll
    for (int j = 0; j < kTargets; ++j) {
      Values z;
#pragma unroll
      for (int k = 0; k < kWidth; ++k) z.at[k] = g[j] * value.at[k];
      write(packed(z), call.z[j] + at.wide * kWidth);
    }
  }
}

// dX_i = sum_j g_ij dZ_j over the i-th part of each row, and the block's part of dg_ij = <X_i, dZ_j> over the same.
MP_KERNEL void __launch_bounds__(kThreads, 4) gate_inputs_gradient(const GateInputsGradientCall call) {
  __shared__ float shared[kThreads / 32 * kTargets];
  const Number* const x = call.x[blockIdx.z];
  Number* const dx = call.dx[blockIdx.z];
  float g[kTargets], products[kTargets] = {};
#pragma unroll
  for (int j = 0; j < kTargets; ++j) {
    g[j] = call.weights[(static_cast<long long>(blockIdx.x) * kSources + blockIdx.z) * kTargets + j];
  }
  const unsigned vectors = static_cast<unsigned>(call.rows * call.across);
  for (unsigned v = blockIdx.y * blockDim.x + threadIdx.x; v < vectors; v += gridDim.y * blockDim.x) {
    const GatePlace at = gate_place(v, call.across, call.rows);
    Packed gradients[kTargets];
#pragma unroll
    for (int j = 0; j < kTargets; ++j) gradients[j] = read(call.dz[j] + at.wide * kWidth);
    const Values value = widened(read(x + at.vector * kWidth));
    Values sum = {};
#pragma unroll
    for (int j = 0; j < kTargets; ++j) {
      const Values dz = widened(gradients[j]);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        sum.at[k] += g[j] * dz.at[k];
        products[j] += value.at[k] * dz.at[k];
      }
    }
    write(packed(sum), dx + at.vector * kWidth);
  }
  const long long part = static_cast<long long>(blockIdx.x) * gridDim.y + blockIdx.y;
  sum_over_block<kTargets>(products, shared, call.dweights + (part * kSources + blockIdx.z) * kTargets);
}

// Batch normalisation over matrices of rows of channels, which is what channels-last maps are.
//
// A block is blockDim.x vectors of channels by blockDim.y rows; blockIdx.y says which channels, and a thread keeps to its own, so
// that what belongs to a channel stays in registers. Sums are made a thread, a block and then over the blocks in order by the last
// block to arrive: they do not depend on which one that is.

#include "numbers.cuh"

#include "calls.cuh"

// Blocks of 512 threads, and as many numbers of each thread.
constexpr int kThreads = 512;
constexpr int kSums = 2 * kWidth;

// Where the gradient of a ReLU after the norm passes: everywhere, where x * scale + offset > 0, where a bit is set.
enum Mask { kEverywhere, kByInput, kByBits };

struct Place {
  int column;         // vector of channels
  bool inside;        // whether there are such channels
  long long first;    // row
  long long step;     // rows
};

__device__ inline Place place(int columns) {
  const int column = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  return {column, column < columns, static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y,
          static_cast<long long>(gridDim.x) * blockDim.y};
}

__device__ inline int thread_of_block() { return static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x); }

// Sums of all rows of the block. `mine` are the thread's; value v of vector x has the place v * blockDim.x + x, and the thread of
// that place gets it.
__device__ inline float block_total(const float (&mine)[kSums], float* shared) {
  const int across = static_cast<int>(blockDim.x), rows = static_cast<int>(blockDim.y);
  // A vector more a row, so that the threads of a warp write to different banks.
  const int stride = (kSums + 1) * across;
#pragma unroll
  for (int v = 0; v < kSums; ++v) shared[threadIdx.y * stride + v * across + threadIdx.x] = mine[v];
  __syncthreads();
  const int width = kSums * across, parts = across * rows / width;
  const int thread = thread_of_block(), value = thread % width, part = thread / width;
  float total = 0.0f;
  if (part < parts) {
    for (int row = part; row < rows; row += parts) total += shared[row * stride + value];
  }
  __syncthreads();
  if (part < parts) shared[thread] = total;
  __syncthreads();
  total = 0.0f;
  if (part == 0) {
    for (int k = 0; k < parts; ++k) total += shared[k * width + value];
  }
  return total;
}

// Passes a block's totals on, and whether this block is the last to do so: then all of them are in `totals`, in the same places.
__device__ inline bool all_totals(const float (&mine)[kSums], float* partials, unsigned* arrived, float* shared) {
  __shared__ bool is_last;
  const float total = block_total(mine, shared);
  const int width = kSums * static_cast<int>(blockDim.x), blocks = static_cast<int>(gridDim.x);
  const int parts = static_cast<int>(blockDim.x * blockDim.y) / width;
  const int thread = thread_of_block(), value = thread % width, part = thread / width;
  float* const here = partials + static_cast<long long>(blockIdx.y) * blocks * width;
  if (part == 0) here[blockIdx.x * width + value] = total;
  __threadfence();
  __syncthreads();
  if (thread == 0) {
    is_last = atomicAdd(arrived + blockIdx.y, 1u) == gridDim.x - 1;
    // For the next call.
    if (is_last) arrived[blockIdx.y] = 0;
  }
  __syncthreads();
  if (!is_last) return false;
  __threadfence();
  double* const totals = reinterpret_cast<double*>(shared);
  double sum = 0.0;
  if (part < parts) {
    constexpr int kAtOnce = 16;
    int block = part;
    for (; block + (kAtOnce - 1) * parts < blocks; block += kAtOnce * parts) {
      float some[kAtOnce];
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) some[k] = __ldcg(here + (block + k * parts) * width + value);
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) sum += static_cast<double>(some[k]);
    }
    for (; block < blocks; block += parts) sum += static_cast<double>(__ldcg(here + block * width + value));
    totals[thread] = sum;
  }
  __syncthreads();
  sum = 0.0;
  if (part == 0) {
    for (int k = 0; k < parts; ++k) sum += totals[k * width + value];
  }
  if (part == 0) totals[value] = sum;
  __syncthreads();
  return true;
}

// The channel whose values this thread finishes, and where its two sums are; none beyond `channels`.
struct Finished {
  int channel;
  int first;
  int second;
};

__device__ inline Finished finished() {
  const int across = static_cast<int>(blockDim.x), thread = thread_of_block();
  const int column = static_cast<int>(blockIdx.y) * across + thread % across, lane = thread / across;
  return {column * kWidth + lane, thread, thread + kWidth * across};
}

// Whether this thread finishes a channel.
__device__ inline bool finishes(const Finished& of, int channels) {
  return of.first < kWidth * static_cast<int>(blockDim.x) && of.channel < channels;
}

// The batch's mean and inverse deviation, the scale and the offset that come of them, and the running values moved towards them.
MP_KERNEL void __launch_bounds__(kThreads, 1) norm_moments(const NormMomentsCall call) {
  __shared__ double shared[kThreads * (kSums + 1) / 2 + 1];
  const Place at = place(call.columns);
  const long long pitch = static_cast<long long>(call.columns) * kWidth;
  const Number* const from = call.x + static_cast<long long>(at.column) * kWidth;
  float sums[kSums] = {};
  if (at.inside) {
    // Squares of numbers far from 0 would cancel: the sums are of the distances from the first row.
    const Values shift = widened(read(from));
    const auto add = [&](const Packed& numbers) {
      const Values x = widened(numbers);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const float distance = x.at[k] - shift.at[k];
        sums[k] += distance;
        sums[kWidth + k] += distance * distance;
      }
    };
    constexpr int kRows = 4;
    long long row = at.first;
    for (; row + (kRows - 1) * at.step < call.rows; row += kRows * at.step) {
      Packed numbers[kRows];
#pragma unroll
      for (int k = 0; k < kRows; ++k) numbers[k] = read(from + (row + k * at.step) * pitch);
#pragma unroll
      for (int k = 0; k < kRows; ++k) add(numbers[k]);
    }
    for (; row < call.rows; row += at.step) add(read(from + row * pitch));
  }
  if (!all_totals(sums, call.partials, call.arrived, reinterpret_cast<float*>(shared))) return;
  const Finished of = finished();
  if (!finishes(of, call.columns * kWidth)) return;
  const int c = of.channel;
  const double count = static_cast<double>(call.rows);
  const double shift = static_cast<double>(number(call.x[c]));
  const double distance = shared[of.first] / count, square = shared[of.second] / count;
  // Rounding must not make it negative; a NaN must stay one.
  const double difference = square - distance * distance;
  const double variance = difference < 0.0 ? 0.0 : difference;
  const double mean = shift + distance, invstd = 1.0 / sqrt(variance + call.eps);
  const double kept = 1.0 - call.momentum;
  call.mean[c] = static_cast<float>(mean);
  call.invstd[c] = static_cast<float>(invstd);
  call.running_mean[c] = static_cast<float>(kept * call.running_mean[c] + call.momentum * mean);
  call.running_var[c] =
      static_cast<float>(kept * call.running_var[c] + call.momentum * (variance * count / (count - 1.0)));
  const float scale = call.weight[c] * static_cast<float>(invstd);
  call.scale[c] = scale;
  call.offset[c] = call.bias[c] - static_cast<float>(mean) * scale;
}

// y = x * scale + offset (+ residual), where `kRelu` at least 0.
template <bool kResidual, bool kRelu>
__device__ inline void apply(const NormApplyCall& call) {
  const Place at = place(call.columns);
  if (!at.inside) return;
  const int c = at.column * kWidth;
  Values scale = per_channel(call.scale + c), offset = per_channel(call.offset + c);
  if (call.variance != nullptr) {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      scale.at[k] *= static_cast<float>(1.0 / sqrt(static_cast<double>(call.variance[c + k]) + call.eps));
      offset.at[k] -= call.mean[c + k] * scale.at[k];
    }
  }
  const auto one = [&](long long vector, const Packed& numbers, const Packed& added) {
    Values y = widened(numbers);
    const Values more = widened(added);
    unsigned passing = 0;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      y.at[k] = y.at[k] * scale.at[k] + offset.at[k];
      if constexpr (kResidual) y.at[k] += more.at[k];
      if constexpr (kRelu) {
        y.at[k] = y.at[k] < 0.0f ? 0.0f : y.at[k];
        passing |= (y.at[k] > 0.0f ? 1u : 0u) << k;
      }
    }
    write(packed(y), call.y + vector * kWidth);
    if constexpr (kResidual && kRelu) {
      if (call.bits != nullptr) call.bits[vector] = static_cast<unsigned char>(passing);
    }
  };
  // Backwards: the pass before this one ended where the second-level cache still has it.
  constexpr int kRows = 2;
  const auto vector_of = [&](long long row) { return (call.rows - 1 - row) * call.columns + at.column; };
  long long row = at.first;
  for (; row + (kRows - 1) * at.step < call.rows; row += kRows * at.step) {
    Packed numbers[kRows], added[kRows];
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      const long long vector = vector_of(row + k * at.step);
      numbers[k] = read(call.x + vector * kWidth);
      added[k] = kResidual ? read(call.residual + vector * kWidth) : Packed{};
    }
#pragma unroll
    for (int k = 0; k < kRows; ++k) one(vector_of(row + k * at.step), numbers[k], added[k]);
  }
  for (; row < call.rows; row += at.step) {
    const long long vector = vector_of(row);
    one(vector, read(call.x + vector * kWidth), kResidual ? read(call.residual + vector * kWidth) : Packed{});
  }
}

MP_KERNEL void __launch_bounds__(kThreads / 2) norm_apply(const NormApplyCall call) { apply<false, false>(call); }
MP_KERNEL void __launch_bounds__(kThreads / 2) norm_apply_relu(const NormApplyCall call) { apply<false, true>(call); }
MP_KERNEL void __launch_bounds__(kThreads / 2) norm_apply_add(const NormApplyCall call) { apply<true, false>(call); }
MP_KERNEL void __launch_bounds__(kThreads / 2) norm_apply_add_relu(const NormApplyCall call) { apply<true, true>(call); }

// What is kept of a vector's gradient: all, what the sign of the norm's result says, or what the bits say.
template <Mask kMask>
__device__ inline Values passed(const Values& dy, const Values& x, const Values& scale, const Values& offset,
                                unsigned bits) {
  Values g;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    bool passes = true;
    if constexpr (kMask == kByInput) passes = x.at[k] * scale.at[k] + offset.at[k] > 0.0f;
    if constexpr (kMask == kByBits) passes = (bits >> k & 1u) != 0;
    g.at[k] = passes ? dy.at[k] : 0.0f;
  }
  return g;
}

// The sums of g and of g (x - mean), with g = dy where the mask passes: the gradients of scale and offset, and what the gradient of
// x is made of.
template <Mask kMask>
__device__ inline void gradient_sums(const NormGradientCall& call) {
  __shared__ double shared[kThreads * (kSums + 1) / 2 + 1];
  const Place at = place(call.columns);
  float sums[kSums] = {};
  if (at.inside) {
    const int c = at.column * kWidth;
    const Values mean = per_channel(call.mean + c);
    Values scale{}, offset{};
    if constexpr (kMask == kByInput) {
      scale = per_channel(call.scale + c);
      offset = per_channel(call.offset + c);
    }
    const auto add = [&](const Packed& gradients, const Packed& numbers, unsigned bits) {
      const Values x = widened(numbers), g = passed<kMask>(widened(gradients), x, scale, offset, bits);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        sums[k] += g.at[k];
        sums[kWidth + k] += g.at[k] * (x.at[k] - mean.at[k]);
      }
    };
    constexpr int kRows = 2;
    long long row = at.first;
    for (; row + (kRows - 1) * at.step < call.rows; row += kRows * at.step) {
      Packed gradients[kRows], numbers[kRows];
      unsigned bits[kRows];
#pragma unroll
      for (int k = 0; k < kRows; ++k) {
        const long long vector = (row + k * at.step) * call.columns + at.column;
        gradients[k] = read(call.dy + vector * kWidth);
        numbers[k] = read(call.x + vector * kWidth);
        bits[k] = kMask == kByBits ? call.bits[vector] : 0u;
      }
#pragma unroll
      for (int k = 0; k < kRows; ++k) add(gradients[k], numbers[k], bits[k]);
    }
    for (; row < call.rows; row += at.step) {
      const long long vector = row * call.columns + at.column;
      add(read(call.dy + vector * kWidth), read(call.x + vector * kWidth), kMask == kByBits ? call.bits[vector] : 0u);
    }
  }
  if (!all_totals(sums, call.partials, call.arrived, reinterpret_cast<float*>(shared))) return;
  const Finished of = finished();
  if (!finishes(of, call.columns * kWidth)) return;
  const int c = of.channel;
  const double sum = shared[of.first], product = shared[of.second];
  const double invstd = call.invstd[c], scale = call.scale[c], count = static_cast<double>(call.rows);
  call.dbias[c] = static_cast<float>(sum);
  call.dweight[c] = static_cast<float>(product * invstd);
  // Constant statistics pass the gradient on as it is.
  const double slope = call.training ? -scale * invstd * invstd * product / count : 0.0;
  call.slope[c] = static_cast<float>(slope);
  call.constant[c] = call.training ? static_cast<float>(-scale * sum / count - slope * call.mean[c]) : 0.0f;
}

MP_KERNEL void __launch_bounds__(kThreads, 1) norm_sums(const NormGradientCall call) { gradient_sums<kEverywhere>(call); }
MP_KERNEL void __launch_bounds__(kThreads, 1) norm_sums_by_input(const NormGradientCall call) { gradient_sums<kByInput>(call); }
MP_KERNEL void __launch_bounds__(kThreads, 1) norm_sums_by_bits(const NormGradientCall call) { gradient_sums<kByBits>(call); }

// dx = g scale + x slope + constant.
template <Mask kMask>
__device__ inline void gradient(const NormGradientCall& call) {
  const Place at = place(call.columns);
  if (!at.inside) return;
  const int c = at.column * kWidth;
  const Values scale = per_channel(call.scale + c), slope = per_channel(call.slope + c),
               constant = per_channel(call.constant + c);
  Values offset{};
  if constexpr (kMask == kByInput) offset = per_channel(call.offset + c);
  const auto one = [&](long long vector, const Packed& gradients, const Packed& numbers, unsigned bits) {
    const Values x = widened(numbers), g = passed<kMask>(widened(gradients), x, scale, offset, bits);
    Values dx;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) dx.at[k] = g.at[k] * scale.at[k] + (x.at[k] * slope.at[k] + constant.at[k]);
    write(packed(dx), call.dx + vector * kWidth);
    if constexpr (kMask == kByBits) write(packed(g), call.masked + vector * kWidth);
  };
  // Backwards, as the sums left the second-level cache.
  constexpr int kRows = 2;
  const auto vector_of = [&](long long row) { return (call.rows - 1 - row) * call.columns + at.column; };
  long long row = at.first;
  for (; row + (kRows - 1) * at.step < call.rows; row += kRows * at.step) {
    Packed gradients[kRows], numbers[kRows];
    unsigned bits[kRows];
#pragma unroll
    for (int k = 0; k < kRows; ++k) {
      const long long vector = vector_of(row + k * at.step);
      gradients[k] = read(call.dy + vector * kWidth);
      numbers[k] = read(call.x + vector * kWidth);
      bits[k] = kMask == kByBits ? call.bits[vector] : 0u;
    }
#pragma unroll
    for (int k = 0; k < kRows; ++k) one(vector_of(row + k * at.step), gradients[k], numbers[k], bits[k]);
  }
  for (; row < call.rows; row += at.step) {
    const long long vector = vector_of(row);
    one(vector, read(call.dy + vector * kWidth), read(call.x + vector * kWidth),
        kMask == kByBits ? call.bits[vector] : 0u);
  }
}

MP_KERNEL void __launch_bounds__(kThreads / 2) norm_gradient(const NormGradientCall call) { gradient<kEverywhere>(call); }
MP_KERNEL void __launch_bounds__(kThreads / 2) norm_gradient_by_input(const NormGradientCall call) { gradient<kByInput>(call); }
MP_KERNEL void __launch_bounds__(kThreads / 2) norm_gradient_by_bits(const NormGradientCall call) { gradient<kByBits>(call); }

// Gates and the mixing that they decide, one block a sample: pooling, two dense layers, normalisation and mixing, and the gradients of
// all that. The maps of a sample are read twice, the second time from the second-level cache.
//
// Compiled for MP_SOURCES sources and MP_TARGETS targets.

#include "numbers.cuh"

#include "calls.cuh"

constexpr int kSources = MP_SOURCES;
constexpr int kTargets = MP_TARGETS;
constexpr int kPairs = kSources * kTargets;
constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
// Vectors of channels that a warp sums side by side.
constexpr int kAcross = 32;

enum Normalisation { kOverTargets, kOverSources, kEachAlone };

__device__ inline int thread_of_block() { return static_cast<int>(threadIdx.x); }
__device__ inline int warp_of_block() { return thread_of_block() / 32; }
__device__ inline int lane_of_warp() { return thread_of_block() % 32; }

// The sums of `values` over the parts of a warp, `across` lanes each, of which `parts` count, in the first part.
__device__ inline void add_parts(Values& values, int across, int parts) {
  const int lane = lane_of_warp(), part = lane / across;
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    if (distance >= parts) continue;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const float other = __shfl_sync(0xffffffffu, values.at[k], (lane + distance * across) % 32);
      if (part < distance && part + distance < parts) values.at[k] += other;
    }
  }
}

// The means of a sample's maps, whose pixels are rows of channels, to `pooled` [S, C].
__device__ inline void pool_rows(const Number* const* x, const RouteShape& shape, float* pooled) {
  __shared__ float shared[kWarps * kAcross * kWidth];
  const int columns = shape.channels / kWidth, lane = lane_of_warp(), warp = warp_of_block();
  const float share = 1.0f / static_cast<float>(shape.pixels);
  for (int first = 0; first < columns; first += kAcross) {
    const int across = columns - first < kAcross ? columns - first : kAcross, parts = 32 / across;
    const int column = lane % across, part = lane / across;
    Values sums[kSources] = {};
    if (part < parts) {
#pragma unroll 2
      for (int pixel = warp * parts + part; pixel < shape.pixels; pixel += kWarps * parts) {
        const long long at = (static_cast<long long>(pixel) * columns + first + column) * kWidth;
        Packed numbers[kSources];
#pragma unroll
        for (int i = 0; i < kSources; ++i) numbers[i] = read(x[i] + at);
#pragma unroll
        for (int i = 0; i < kSources; ++i) {
          const Values values = widened(numbers[i]);
#pragma unroll
          for (int k = 0; k < kWidth; ++k) sums[i].at[k] += values.at[k];
        }
      }
    }
    const int channels = across * kWidth;
#pragma unroll
    for (int i = 0; i < kSources; ++i) {
      add_parts(sums[i], across, parts);
      __syncthreads();
      if (part == 0) {
#pragma unroll
        for (int k = 0; k < kWidth; ++k) shared[warp * channels + column * kWidth + k] = sums[i].at[k];
      }
      __syncthreads();
      for (int c = thread_of_block(); c < channels; c += kThreads) {
        float sum = 0.0f;
#pragma unroll
        for (int other = 0; other < kWarps; ++other) sum += shared[other * channels + c];
        pooled[i * shape.channels + first * kWidth + c] = sum * share;
      }
    }
  }
}

// The same of maps whose channels are planes of pixels.
__device__ inline void pool_planes(const Number* const* x, const RouteShape& shape, float* pooled) {
  const int vectors = shape.pixels / kWidth;
  const float share = 1.0f / static_cast<float>(shape.pixels);
  for (int plane = warp_of_block(); plane < kSources * shape.channels; plane += kWarps) {
    const int i = plane / shape.channels, c = plane % shape.channels;
    const Number* const from = x[i] + static_cast<long long>(c) * shape.pixels;
    float sum = 0.0f;
    for (int v = lane_of_warp(); v < vectors; v += 32) {
      const Values values = widened(read(from + static_cast<long long>(v) * kWidth));
#pragma unroll
      for (int k = 0; k < kWidth; ++k) sum += values.at[k];
    }
    sum = warp_sum(sum);
    if (lane_of_warp() == 0) pooled[plane] = sum * share;
  }
}

// <row, x> by a warp, in all its lanes.
__device__ inline float warp_dot(const float* row, const float* x, int count) {
  float sum = 0.0f;
  for (int k = lane_of_warp(); k < count; k += 32) sum += row[k] * x[k];
  return warp_sum(sum);
}

// Calls `body(first pair, distance of pairs, pairs)` for each group of weights that compete with each other.
template <typename Body>
__device__ inline void over_groups(int normalisation, const Body& body) {
  const int thread = thread_of_block();
  if (normalisation == kOverTargets && thread < kSources) body(thread * kTargets, 1, kTargets);
  if (normalisation == kOverSources && thread < kTargets) body(thread, kTargets, kSources);
  if (normalisation == kEachAlone && thread < kPairs) body(thread, 0, 1);
}

// Where the sample's numbers start.
struct Sample {
  const Number* x[kSources];
  long long vectors;

  __device__ Sample(const Number* const* maps, const RouteShape& shape) {
    const long long numbers = static_cast<long long>(shape.channels) * shape.pixels;
    vectors = numbers / kWidth;
#pragma unroll
    for (int i = 0; i < kSources; ++i) x[i] = maps[i] + static_cast<long long>(blockIdx.x) * numbers;
  }
};

template <bool kMixes>
__device__ inline void forward(const RouteCall& call) {
  MP_ROOM(room);
  const RouteShape& shape = call.shape;
  const int channels = shape.channels, width = shape.hidden;
  float* const pooled = room;
  float* const hidden = pooled + kSources * channels;
  float* const logits = hidden + kSources * width;
  float* const weights = logits + kPairs;
  const Sample sample(call.x, shape);
  shape.planes ? pool_planes(sample.x, shape, pooled) : pool_rows(sample.x, shape, pooled);
  __syncthreads();
  const long long b = static_cast<long long>(blockIdx.x);
  for (int k = thread_of_block(); k < kSources * channels; k += kThreads) {
    call.pooled[b * kSources * channels + k] = pooled[k];
  }
  for (int at = warp_of_block(); at < kSources * width; at += kWarps) {
    const float sum = warp_dot(call.weight1 + static_cast<long long>(at) * channels,
                               pooled + at / width * channels, channels) + call.bias1[at];
    if (lane_of_warp() == 0) {
      hidden[at] = sum < 0.0f ? 0.0f : sum;
      call.hidden[b * kSources * width + at] = hidden[at];
    }
  }
  __syncthreads();
  for (int at = warp_of_block(); at < kPairs; at += kWarps) {
    const float sum = warp_dot(call.weight2 + static_cast<long long>(at) * width, hidden + at / kTargets * width, width);
    if (lane_of_warp() == 0) {
      logits[at] = (sum + call.bias2[at]) / shape.temperature;
      call.logits[b * kPairs + at] = logits[at];
    }
  }
  __syncthreads();
  over_groups(shape.normalisation, [&](int first, int distance, int count) {
    if (distance == 0) {
      weights[first] = 1.0f / (1.0f + expf(-logits[first]));
      return;
    }
    float largest = logits[first], sum = 0.0f;
    for (int k = 1; k < count; ++k) largest = logits[first + k * distance] > largest ? logits[first + k * distance] : largest;
    for (int k = 0; k < count; ++k) {
      const int at = first + k * distance;
      weights[at] = expf(logits[at] - largest);
      sum += weights[at];
    }
    for (int k = 0; k < count; ++k) weights[first + k * distance] /= sum;
  });
  __syncthreads();
  for (int k = thread_of_block(); k < kPairs; k += kThreads) call.weights[b * kPairs + k] = weights[k];
  if constexpr (kMixes) {
    float g[kPairs];
#pragma unroll
    for (int k = 0; k < kPairs; ++k) g[k] = weights[k];
    for (long long v = thread_of_block(); v < sample.vectors; v += kThreads) {
      Packed numbers[kSources];
#pragma unroll
      for (int i = 0; i < kSources; ++i) numbers[i] = read(sample.x[i] + v * kWidth);
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
      for (int j = 0; j < kTargets; ++j) write(packed(sums[j]), call.y[j] + (b * sample.vectors + v) * kWidth);
    }
  }
}

MP_KERNEL void __launch_bounds__(kThreads, kPairs <= 9 ? 2 : 1) route_forward(const RouteCall call) { forward<true>(call); }
MP_KERNEL void __launch_bounds__(kThreads, kPairs <= 9 ? 2 : 1) gate_forward(const RouteCall call) { forward<false>(call); }

template <bool kMixes>
__device__ inline void backward(const RouteGradientCall& call) {
  MP_ROOM(room);
  __shared__ float sums[kWarps * kPairs];
  const RouteShape& shape = call.shape;
  const int channels = shape.channels, width = shape.hidden, thread = thread_of_block();
  float* const dpooled = room;
  float* const dhidden = dpooled + kSources * channels;
  float* const weights = dhidden + kSources * width;
  float* const dweights = weights + kPairs;
  float* const dlogits = dweights + kPairs;
  const long long b = static_cast<long long>(blockIdx.x);
  const Sample sample(call.x, shape);
  for (int k = thread; k < kPairs; k += kThreads) {
    weights[k] = call.weights[b * kPairs + k];
    dweights[k] = 0.0f;
  }
  __syncthreads();
  if constexpr (kMixes) {
    float products[kPairs] = {};
    for (long long v = thread; v < sample.vectors; v += kThreads) {
      Packed gradients[kTargets], numbers[kSources];
#pragma unroll
      for (int j = 0; j < kTargets; ++j) gradients[j] = read(call.dy[j] + (b * sample.vectors + v) * kWidth);
#pragma unroll
      for (int i = 0; i < kSources; ++i) numbers[i] = read(sample.x[i] + v * kWidth);
#pragma unroll
      for (int i = 0; i < kSources; ++i) {
        const Values x = widened(numbers[i]);
#pragma unroll
        for (int j = 0; j < kTargets; ++j) {
          const Values dy = widened(gradients[j]);
#pragma unroll
          for (int k = 0; k < kWidth; ++k) products[i * kTargets + j] += x.at[k] * dy.at[k];
        }
      }
    }
    sum_over_block<kPairs>(products, sums, dweights);
    __syncthreads();
  }
  over_groups(shape.normalisation, [&](int first, int distance, int count) {
    float mean = 0.0f;
    for (int k = 0; k < count; ++k) {
      const int at = first + k * distance;
      if (call.dweights != nullptr) dweights[at] += call.dweights[b * kPairs + at];
      mean += weights[at] * dweights[at];
    }
    for (int k = 0; k < count; ++k) {
      const int at = first + k * distance;
      const float own = distance == 0 ? dweights[at] * weights[at] * (1.0f - weights[at])
                                      : weights[at] * (dweights[at] - mean);
      dlogits[at] = (own + (call.dlogits != nullptr ? call.dlogits[b * kPairs + at] : 0.0f)) / shape.temperature;
      call.passed_logits[b * kPairs + at] = dlogits[at];
    }
  });
  __syncthreads();
  for (int at = thread; at < kSources * width; at += kThreads) {
    const int i = at / width, h = at % width;
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kTargets; ++j) {
      sum += dlogits[i * kTargets + j] * call.weight2[(static_cast<long long>(i) * kTargets + j) * width + h];
    }
    dhidden[at] = call.hidden[b * kSources * width + at] > 0.0f ? sum : 0.0f;
    call.passed_hidden[b * kSources * width + at] = dhidden[at];
  }
  __syncthreads();
  // A mean shares its gradient out evenly.
  const float share = 1.0f / static_cast<float>(shape.pixels);
  for (int at = thread; at < kSources * channels; at += kThreads) {
    const int i = at / channels, c = at % channels;
    const float* const rows = call.weight1 + static_cast<long long>(i) * width * channels + c;
    float sum = 0.0f;
#pragma unroll 4
    for (int h = 0; h < width; ++h) sum += dhidden[i * width + h] * rows[static_cast<long long>(h) * channels];
    dpooled[at] = sum * share;
    if constexpr (!kMixes) call.passed_pooled[b * kSources * channels + at] = dpooled[at];
  }
  if constexpr (kMixes) {
    __syncthreads();
    float g[kPairs];
#pragma unroll
    for (int k = 0; k < kPairs; ++k) g[k] = weights[k];
    const unsigned columns = static_cast<unsigned>(shape.channels / kWidth),
                   plane = static_cast<unsigned>(shape.pixels / kWidth);
    for (long long v = thread; v < sample.vectors; v += kThreads) {
      const long long at = (b * sample.vectors + v) * kWidth;
      Packed gradients[kTargets];
#pragma unroll
      for (int j = 0; j < kTargets; ++j) gradients[j] = read(call.dy[j] + at);
      // The one channel of a vector of pixels, or the first of a vector of channels.
      const int c = static_cast<int>(shape.planes ? static_cast<unsigned>(v) / plane
                                                  : static_cast<unsigned>(v) % columns * kWidth);
#pragma unroll
      for (int i = 0; i < kSources; ++i) {
        const float* const added = dpooled + i * channels + c;
        Values dx;
#pragma unroll
        for (int k = 0; k < kWidth; ++k) dx.at[k] = shape.planes ? added[0] : added[k];
#pragma unroll
        for (int j = 0; j < kTargets; ++j) {
          const Values dy = widened(gradients[j]);
#pragma unroll
          for (int k = 0; k < kWidth; ++k) dx.at[k] += g[i * kTargets + j] * dy.at[k];
        }
        write(packed(dx), call.dx[i] + at);
      }
    }
  }
}

MP_KERNEL void __launch_bounds__(kThreads, kPairs <= 9 ? 2 : 1) route_gradient(const RouteGradientCall call) { backward<true>(call); }
MP_KERNEL void __launch_bounds__(kThreads, 2) gate_gradient(const RouteGradientCall call) { backward<false>(call); }

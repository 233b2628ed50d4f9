// What the kernels share: number formats, vectors of numbers, and sums over threads and blocks in a fixed order.
//
// Compiled with MP_FORMAT, the format of the maps (0 float32, 1 bfloat16, 2 float16), and MP_WIDTH, how many numbers a thread
// takes at a time (1, 2, 4 or 8): the numbers of a row are a multiple of it, and rows start where so many may be read at once.
// Arithmetic happens in float32.

#if MP_FORMAT == 0
typedef float Number;
#else
// The bits.
typedef unsigned short Number;
#endif

constexpr int kWidth = MP_WIDTH;
constexpr int kBytes = kWidth * static_cast<int>(sizeof(Number));
constexpr int kWords = (kBytes + 3) / 4;

// Numbers as they lie in memory.
struct Packed {
  unsigned at[kWords];
};

struct Values {
  float at[kWidth];
};

__device__ inline Packed read(const Number* from) {
  Packed packed;
  if constexpr (kBytes >= 16) {
#pragma unroll
    for (int k = 0; k < kWords; k += 4) {
      const uint4 words = *reinterpret_cast<const uint4*>(reinterpret_cast<const unsigned*>(from) + k);
      packed.at[k] = words.x;
      packed.at[k + 1] = words.y;
      packed.at[k + 2] = words.z;
      packed.at[k + 3] = words.w;
    }
  } else if constexpr (kBytes == 8) {
    const uint2 words = *reinterpret_cast<const uint2*>(from);
    packed.at[0] = words.x;
    packed.at[1] = words.y;
  } else if constexpr (kBytes == 4) {
    packed.at[0] = *reinterpret_cast<const unsigned*>(from);
  } else {
    packed.at[0] = *reinterpret_cast<const unsigned short*>(from);
  }
  return packed;
}

__device__ inline void write(const Packed& packed, Number* to) {
  if constexpr (kBytes >= 16) {
#pragma unroll
    for (int k = 0; k < kWords; k += 4) {
      *reinterpret_cast<uint4*>(reinterpret_cast<unsigned*>(to) + k) =
          make_uint4(packed.at[k], packed.at[k + 1], packed.at[k + 2], packed.at[k + 3]);
    }
  } else if constexpr (kBytes == 8) {
    *reinterpret_cast<uint2*>(to) = make_uint2(packed.at[0], packed.at[1]);
  } else if constexpr (kBytes == 4) {
    *reinterpret_cast<unsigned*>(to) = packed.at[0];
  } else {
    *reinterpret_cast<unsigned short*>(to) = static_cast<unsigned short>(packed.at[0]);
  }
}

#ifndef MP_EMULATED
#define MP_KERNEL extern "C" __global__
// The shared memory that a launch asks for.
#define MP_ROOM(name) extern __shared__ float name[]

#if MP_FORMAT == 2
__device__ inline float float_of_float16(unsigned short bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

__device__ inline unsigned short float16_bits(float value) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
#endif
#endif

#if MP_FORMAT == 1
// To the nearest, ties to even; a NaN stays one.
__device__ inline unsigned bfloat16_of(float value) {
  const unsigned wide = __float_as_uint(value);
  const unsigned rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
  return value != value ? (wide >> 16) | 0x40u : rounded;
}
#endif

#if MP_FORMAT != 0
// Two numbers of 16 bits.
__device__ inline unsigned narrowed(float low, float high) {
#if MP_FORMAT == 1 && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#elif MP_FORMAT == 1
  return bfloat16_of(low) | bfloat16_of(high) << 16;
#else
  return float16_bits(low) | static_cast<unsigned>(float16_bits(high)) << 16;
#endif
}
#endif

__device__ inline Values widened(const Packed& packed) {
  Values values;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
#if MP_FORMAT == 0
    values.at[k] = __uint_as_float(packed.at[k]);
#elif MP_FORMAT == 1
    const unsigned word = packed.at[k / 2];
    values.at[k] = __uint_as_float(k % 2 == 0 ? word << 16 : word & 0xffff0000u);
#else
    values.at[k] = float_of_float16(static_cast<unsigned short>(packed.at[k / 2] >> (k % 2 * 16)));
#endif
  }
  return values;
}

__device__ inline Packed packed(const Values& values) {
  Packed result;
#pragma unroll
  for (int k = 0; k < kWords; ++k) {
#if MP_FORMAT == 0
    result.at[k] = __float_as_uint(values.at[k]);
#else
    if constexpr (kWidth == 1) {
      result.at[k] = narrowed(values.at[0], 0.0f);
    } else {
      result.at[k] = narrowed(values.at[2 * k], values.at[2 * k + 1]);
    }
#endif
  }
  return result;
}

// One number.
__device__ inline float number(Number of) {
#if MP_FORMAT == 0
  return of;
#elif MP_FORMAT == 1
  return __uint_as_float(static_cast<unsigned>(of) << 16);
#else
  return float_of_float16(of);
#endif
}

// One value a channel, `kWidth` channels from `from` on.
__device__ inline Values per_channel(const float* from) {
  Values values;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) values.at[k] = from[k];
  return values;
}

// The sum of `value` over the threads of a warp, in every one of them.
__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

// The sums of `mine` over the threads of a block of whole warps, in a fixed order, to `to`; `shared` has room for kCount numbers of
// each warp.
template <int kCount>
__device__ inline void sum_over_block(const float (&mine)[kCount], float* shared, float* to) {
  const int warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    const float sum = warp_sum(mine[k]);
    if (threadIdx.x % 32 == 0) shared[warp * kCount + k] = sum;
  }
  __syncthreads();
  for (int k = static_cast<int>(threadIdx.x); k < kCount; k += static_cast<int>(blockDim.x)) {
    float sum = 0.0f;
    for (int other = 0; other < warps; ++other) sum += shared[other * kCount + k];
    to[k] = sum;
  }
}

// What the loops over numbers share: number formats, vectors of 16 lanes, and one clone of a loop for each level of vector
// instructions. Free of libtorch.

#pragma once

#include <cstdint>
#include <cstring>

// One clone of each kernel for AVX-512, AVX2 and the rest, chosen when the library is loaded: before the run time of a
// sanitizer is up, so under one there is none.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MP_CLONES
#endif
// Must be inlined, or the body would not be compiled for the clone's instructions.
#define MP_INLINE inline __attribute__((always_inline))

namespace mp {

// The upper half of a float; arithmetic happens in float32.
struct bf16 {
  uint16_t bits;
};

MP_INLINE float load(float x) { return x; }
MP_INLINE double load(double x) { return x; }
MP_INLINE float load(bf16 x) {
  const uint32_t wide = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

MP_INLINE void store(float value, float& to) { to = value; }
MP_INLINE void store(double value, double& to) { to = value; }
// To the nearest, ties to even. A NaN whose payload is in the lower half would round to infinity: its quiet bit is set.
MP_INLINE void store(float value, bf16& to) {
  uint32_t wide;
  std::memcpy(&wide, &value, sizeof wide);
  const uint32_t rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
  const uint32_t quiet = (wide >> 16) | 0x40u;
  to.bits = static_cast<uint16_t>(value != value ? quiet : rounded);
}

// Vectors of 16 numbers, which the compiler maps to what a clone's instructions have.
constexpr int64_t kLanes = 16;

template <typename Number>
struct Lanes;
template <>
struct Lanes<float> {
  typedef float type __attribute__((vector_size(kLanes * sizeof(float))));
};
template <>
struct Lanes<double> {
  typedef double type __attribute__((vector_size(kLanes * sizeof(double))));
};
typedef uint16_t HalfBits __attribute__((vector_size(kLanes * sizeof(uint16_t))));
typedef uint32_t FloatBits __attribute__((vector_size(kLanes * sizeof(uint32_t))));

template <typename Number>
using Vector = typename Lanes<Number>::type;

template <typename Number>
MP_INLINE Vector<Number> load16(const Number* from) {
  Vector<Number> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
MP_INLINE Vector<float> load16(const bf16* from) {
  HalfBits bits;
  std::memcpy(&bits, from, sizeof bits);
  return reinterpret_cast<Vector<float>>(__builtin_convertvector(bits, FloatBits) << 16);
}

template <typename Number>
MP_INLINE void store16(Vector<Number> value, Number* to) {
  std::memcpy(to, &value, sizeof value);
}
// Rounds as the scalar `store` does.
MP_INLINE void store16(Vector<float> value, bf16* to) {
  const auto wide = reinterpret_cast<FloatBits>(value);
  const FloatBits rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
  const FloatBits quiet = (wide >> 16) | 0x40u;
  const auto bits = __builtin_convertvector(value != value ? quiet : rounded, HalfBits);
  std::memcpy(to, &bits, sizeof bits);
}

}  // namespace mp

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
// Rounds the upper halves as the scalar `store` does; the lower ones are of no use. A NaN is cut off: what comes out of
// arithmetic has its quiet bit, which is in the upper half.
MP_INLINE FloatBits rounded(Vector<float> value) {
  const auto wide = reinterpret_cast<FloatBits>(value);
  const FloatBits half = ((wide >> 16) & 1u) + 0x7fffu;
  return wide + (value == value ? half : FloatBits{});
}
MP_INLINE void store16(Vector<float> value, bf16* to) {
  const auto bits = __builtin_convertvector(rounded(value) >> 16, HalfBits);
  std::memcpy(to, &bits, sizeof bits);
}

// 32 numbers as two vectors, in an order of their own: widening bf16 numbers in place, the even ones and the odd ones, is one
// instruction a vector, where moving them to lanes of 32 bits takes a shuffle as well; so does narrowing.
template <typename Real>
struct Pair {
  Vector<Real> first, second;

  friend MP_INLINE Pair operator+(Pair a, Pair b) { return {a.first + b.first, a.second + b.second}; }
  friend MP_INLINE Pair operator-(Pair a, Pair b) { return {a.first - b.first, a.second - b.second}; }
  friend MP_INLINE Pair operator*(Pair a, Pair b) { return {a.first * b.first, a.second * b.second}; }
  friend MP_INLINE Pair operator*(Real a, Pair b) { return {a * b.first, a * b.second}; }
  MP_INLINE Pair& operator+=(Pair other) { return *this = *this + other; }
};
constexpr int64_t kPair = 2 * kLanes;

template <typename Number>
MP_INLINE Pair<Number> load32(const Number* from) {
  return {load16(from), load16(from + kLanes)};
}
MP_INLINE Pair<float> load32(const bf16* from) {
  FloatBits bits;
  std::memcpy(&bits, from, sizeof bits);
  return {reinterpret_cast<Vector<float>>(bits << 16), reinterpret_cast<Vector<float>>(bits & 0xffff0000u)};
}

template <typename Number>
MP_INLINE void store32(Pair<Number> value, Number* to) {
  store16(value.first, to);
  store16(value.second, to + kLanes);
}
MP_INLINE void store32(Pair<float> value, bf16* to) {
  const FloatBits bits = (rounded(value.first) >> 16) | (rounded(value.second) & 0xffff0000u);
  std::memcpy(to, &bits, sizeof bits);
}

// 32 wide values in the order that `load32` gives their like of type Number.
template <typename Number, typename Real>
MP_INLINE Pair<Real> in_order_of(const Real* from) {
  return load32(from);
}
template <>
MP_INLINE Pair<float> in_order_of<bf16, float>(const float* from) {
  const Vector<float> low = load16(from), high = load16(from + kLanes);
  return {__builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
          __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
}

// The inverse: adds to 32 wide values in their own order.
template <typename Number, typename Real>
MP_INLINE void add_in_order(Pair<Real> value, Real* to) {
  store32(load32(to) + value, to);
}
template <>
MP_INLINE void add_in_order<bf16, float>(Pair<float> value, float* to) {
  const auto low = __builtin_shufflevector(value.first, value.second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const auto high =
      __builtin_shufflevector(value.first, value.second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  store32(load32(to) + Pair<float>{low, high}, to);
}

// At least 0. A NaN is kept: it must show in the loss.
template <typename Value>
MP_INLINE Value relu(Value value) {
  return value < Value{} ? Value{} : value;
}
template <typename Real>
MP_INLINE Pair<Real> relu(Pair<Real> value) {
  return {relu(value.first), relu(value.second)};
}

// `value` where `test` is above 0, else 0.
template <typename Value>
MP_INLINE Value where_positive(Value test, Value value) {
  return test > Value{} ? value : Value{};
}
template <typename Real>
MP_INLINE Pair<Real> where_positive(Pair<Real> test, Pair<Real> value) {
  return {where_positive(test.first, value.first), where_positive(test.second, value.second)};
}

}  // namespace mp

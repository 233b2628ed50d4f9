// What the checks share: arrays without a spare byte on either side, and numbers to fill them with.

#pragma once

#include "../../cpp/mix_kernels.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

// `count` numbers that start and end where their memory does, so that a sanitizer sees the first touch beyond; `shift` numbers
// lie before them, so that vectors do not start where the allocator would align them.
template <typename Number>
class Row {
 public:
  Row(int64_t count, int64_t shift = 0) : count_(count), shift_(shift), memory_(new Number[count + shift]()) {}
  Number* data() { return memory_.get() + shift_; }
  const Number* data() const { return memory_.get() + shift_; }
  int64_t size() const { return count_; }
  Number& operator[](int64_t k) { return data()[k]; }
  const Number& operator[](int64_t k) const { return data()[k]; }

 private:
  int64_t count_;
  int64_t shift_;
  std::unique_ptr<Number[]> memory_;
};

inline double wide(float x) { return x; }
inline double wide(double x) { return x; }
inline double wide(mp::bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void set(float& x, double value) { x = static_cast<float>(value); }
inline void set(double& x, double value) { x = value; }
// Cut off: exact for what `wide` gave, and near enough to make up numbers.
inline void set(mp::bf16& x, double value) {
  const float narrow = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  x.bits = static_cast<uint16_t>(bits >> 16);
}

// A fixed pattern within ±1.
template <typename Number>
void fill(Row<Number>& row, double phase) {
  for (int64_t k = 0; k < row.size(); ++k) {
    set(row[k], std::sin(0.7 * static_cast<double>(k) + phase));
  }
}

inline void expect(bool holds, const char* what, int64_t count, int64_t k, double found, double expected) {
  if (!holds) {
    std::fprintf(stderr, "%s: number %lld of %lld is %.17g, expected %.17g\n", what, static_cast<long long>(k),
                 static_cast<long long>(count), found, expected);
    std::exit(1);
  }
}

inline void expect_near(double found, double expected, double tolerance, const char* what, int64_t count, int64_t k) {
  expect(std::fabs(found - expected) <= tolerance, what, count, k, found, expected);
}

// Lengths around the vectors' and blocks' of the kernels: none, fewer than a vector, one more and one less than a block.
constexpr int64_t kCounts[] = {0, 1, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 511, 512, 513, 1025, 2047};

void check_conv();
void check_direct_conv();
void check_gate();
void check_mix();
void check_norm();
void check_pool();
void check_step();

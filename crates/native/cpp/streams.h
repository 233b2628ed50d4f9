// Loops over several streams of numbers at once: sums with weights, and inner products. Each number is read and widened once
// for all that is made of it.

#pragma once

#include "mix_kernels.h"
#include "vector.h"

#include <algorithm>

namespace mp {

// The most outputs, and the most streams on each side of inner products, that are made at once: their sums stay in
// registers.
constexpr int kTile = 4;

// Calls `body.template operator()<N>(from)` with N (a constant) from 1 to kTile of `count` streams at a time.
template <typename Body>
MP_INLINE void in_tiles(int count, Body body) {
  for (int from = 0; from < count; from += kTile) {
    switch (std::min(kTile, count - from)) {
      case 1: body.template operator()<1>(from); break;
      case 2: body.template operator()<2>(from); break;
      case 3: body.template operator()<3>(from); break;
      default: body.template operator()<kTile>(from); break;
    }
  }
}

// from [rows, columns] to `to` [columns, rows].
template <typename Real>
MP_INLINE void transpose(const Real* from, Real* to, int rows, int columns) {
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) to[j * rows + i] = from[i * columns + j];
  }
}

// What sums start from: nothing.
template <typename Number, typename Real>
struct FromZero {
  MP_INLINE Pair<Real> pair(int, int64_t) const { return {Vector<Real>{}, Vector<Real>{}}; }
  MP_INLINE Real one(int, int64_t) const { return 0; }
};

// out_m[k] = start(m, k) + sum_n weights[n * outs + m] in_n[k] for k from `offset` on; `start` counts from there.
template <typename Number, typename Real, typename Start>
MP_INLINE void blend(const Number* const* in, int ins, Number* const* out, int outs, const Real* weights,
                     const Start& start, int64_t offset, int64_t count) {
  in_tiles(outs, [&]<int M>(int from) __attribute__((always_inline)) {
    int64_t k = 0;
    for (; k + kPair <= count; k += kPair) {
      Pair<Real> sums[M];
      for (int m = 0; m < M; ++m) sums[m] = start.pair(from + m, k);
      for (int n = 0; n < ins; ++n) {
        const Pair<Real> value = load32(in[n] + offset + k);
        for (int m = 0; m < M; ++m) sums[m] += weights[n * outs + from + m] * value;
      }
      for (int m = 0; m < M; ++m) store32(sums[m], out[from + m] + offset + k);
    }
    for (; k < count; ++k) {
      for (int m = 0; m < M; ++m) {
        Real sum = start.one(from + m, k);
        for (int n = 0; n < ins; ++n) sum += weights[n * outs + from + m] * load(in[n][offset + k]);
        store(sum, out[from + m][offset + k]);
      }
    }
  });
}

// sums[i * columns + j] += <a_i, b_j> over the numbers from `offset` on.
template <typename Number, typename Real>
MP_INLINE void inner_products(const Number* const* a, int rows, const Number* const* b, int columns, Real* sums,
                              int64_t offset, int64_t count) {
  in_tiles(rows, [&]<int I>(int row) __attribute__((always_inline)) {
    in_tiles(columns, [&]<int J>(int column) __attribute__((always_inline)) {
      Vector<Real> lanes[I][J] = {};
      int64_t k = offset;
      for (; k + kPair <= offset + count; k += kPair) {
        Pair<Real> left[I];
        for (int i = 0; i < I; ++i) left[i] = load32(a[row + i] + k);
        for (int j = 0; j < J; ++j) {
          const Pair<Real> right = load32(b[column + j] + k);
          for (int i = 0; i < I; ++i) {
            lanes[i][j] += left[i].first * right.first;
            lanes[i][j] += left[i].second * right.second;
          }
        }
      }
      for (int i = 0; i < I; ++i) {
        for (int j = 0; j < J; ++j) {
          Real sum = 0;
          for (int lane = 0; lane < kLanes; ++lane) sum += lanes[i][j][lane];
          for (int64_t at = k; at < offset + count; ++at) sum += load(a[row + i][at]) * load(b[column + j][at]);
          sums[(row + i) * columns + column + j] += sum;
        }
      }
    });
  });
}

}  // namespace mp

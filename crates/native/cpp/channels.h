// Loops over matrices of rows of channels, which is what a channels-last map is.
//
// 64, 32 or 16 channels are taken at a time, whose per-channel values and sums stay in registers over all rows; what is left
// of the channels goes one by one. Rows of 16 channels are taken by twos, as rows of 32.

#pragma once

#include "vector.h"

namespace mp {

// 32 channels at once.
template <typename Number, typename Real>
struct Paired {
  static constexpr int64_t kWidth = kPair;
  using Value = Pair<Real>;
  static MP_INLINE Value read(const Number* from) { return load32(from); }
  static MP_INLINE void write(Value value, Number* to) { store32(value, to); }
  static MP_INLINE Value read_wide(const Real* from) { return in_order_of<Number>(from); }
  static MP_INLINE void add_wide(Value value, Real* to) { add_in_order<Number>(value, to); }
};

// 16 channels at once.
template <typename Number, typename Real>
struct Wide {
  static constexpr int64_t kWidth = kLanes;
  using Value = Vector<Real>;
  static MP_INLINE Value read(const Number* from) { return load16(from); }
  static MP_INLINE void write(Value value, Number* to) { store16(value, to); }
  static MP_INLINE Value read_wide(const Real* from) { return load16(from); }
  static MP_INLINE void add_wide(Value value, Real* to) { store16(load16(to) + value, to); }
};

// One channel.
template <typename Number, typename Real>
struct Single {
  static constexpr int64_t kWidth = 1;
  using Value = Real;
  static MP_INLINE Value read(const Number* from) { return load(*from); }
  static MP_INLINE void write(Value value, Number* to) { store(value, *to); }
  static MP_INLINE Value read_wide(const Real* from) { return *from; }
  static MP_INLINE void add_wide(Value value, Real* to) { *to += value; }
};

// Calls `body(lanes, blocks, c)`: from channel c on, `blocks` (a constant) times the lanes' width at once.
template <typename Number, typename Real, typename Body>
MP_INLINE void over_channels(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + 2 * kPair <= channels; c += 2 * kPair) body.template operator()<Paired<Number, Real>, 2>(c);
  for (; c + kPair <= channels; c += kPair) body.template operator()<Paired<Number, Real>, 1>(c);
  for (; c + kLanes <= channels; c += kLanes) body.template operator()<Wide<Number, Real>, 1>(c);
  for (; c < channels; ++c) body.template operator()<Single<Number, Real>, 1>(c);
}

#define MP_OVER_CHANNELS [&]<typename Lane, int kBlocks>(int64_t c) __attribute__((always_inline))

// Per-channel values from channel c on.
template <typename Lane, int kBlocks, typename Real>
struct PerChannel {
  typename Lane::Value at[kBlocks];

  explicit MP_INLINE PerChannel(const Real* from) {
    for (int k = 0; k < kBlocks; ++k) at[k] = Lane::read_wide(from + k * Lane::kWidth);
  }
};

// Per-channel sums over rows, kept apart for several rows so that one addition need not wait for the last.
template <typename Lane, int kBlocks, typename Real>
struct Sums {
  static constexpr int kRows = Lane::kWidth == kPair ? 2 / kBlocks : 4 / kBlocks;
  typename Lane::Value at[kRows][kBlocks] = {};

  MP_INLINE void add_to(Real* total) const {
    for (int k = 0; k < kBlocks; ++k) {
      auto sum = at[0][k];
      for (int r = 1; r < kRows; ++r) sum += at[r][k];
      Lane::add_wide(sum, total + k * Lane::kWidth);
    }
  }
};

// Calls `body(row, slot)` for every row, with slots 0 to kRows - 1 in turn.
template <int kRows, typename Body>
MP_INLINE void over_rows(int64_t rows, Body body) {
  int64_t row = 0;
  for (; row + kRows <= rows; row += kRows) {
    for (int slot = 0; slot < kRows; ++slot) body(row + slot, slot);
  }
  for (; row < rows; ++row) body(row, 0);
}

// Two rows of 16 channels are one of 32: whether the loops may see them so.
inline bool by_twos(int64_t rows, int64_t channels) { return channels == kLanes && rows % 2 == 0; }

// Values of 16 channels, for such rows.
template <typename Real>
struct Twice {
  Real at[kPair];

  explicit MP_INLINE Twice(const Real* from) {
    for (int64_t c = 0; c < kPair; ++c) at[c] = from[c % kLanes];
  }
};

// Sums over such rows.
template <typename Real>
struct TwiceSums {
  Real at[kPair] = {};

  MP_INLINE void add_to(Real* total) const {
    for (int64_t c = 0; c < kLanes; ++c) total[c] += at[c] + at[c + kLanes];
  }
};

}  // namespace mp

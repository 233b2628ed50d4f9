// Loops over matrices of rows of channels, which is what a channels-last map is.
//
// 64, 32 or 16 channels are taken at a time, whose per-channel values and sums stay in registers over all rows; what is left
// of the channels goes one by one.

#pragma once

#include "vector.h"

namespace mp {

// 16 channels at once.
struct Wide {
  static constexpr int64_t kWidth = kLanes;
  template <typename Real>
  using Value = Vector<Real>;
  template <typename Number>
  static MP_INLINE auto read(const Number* from) {
    return load16(from);
  }
  template <typename Value, typename Number>
  static MP_INLINE void write(Value value, Number* to) {
    store16(value, to);
  }
};

// One channel.
struct Single {
  static constexpr int64_t kWidth = 1;
  template <typename Real>
  using Value = Real;
  template <typename Number>
  static MP_INLINE auto read(const Number* from) {
    return load(*from);
  }
  template <typename Value, typename Number>
  static MP_INLINE void write(Value value, Number* to) {
    store(value, *to);
  }
};

// Calls `body(lanes, blocks, c)`: from channel c on, `blocks` (a constant) times the lanes' width at once.
template <typename Body>
MP_INLINE void over_channels(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) body.template operator()<Wide, 4>(c);
  for (; c + 2 * kLanes <= channels; c += 2 * kLanes) body.template operator()<Wide, 2>(c);
  for (; c + kLanes <= channels; c += kLanes) body.template operator()<Wide, 1>(c);
  for (; c < channels; ++c) body.template operator()<Single, 1>(c);
}

#define MP_OVER_CHANNELS [&]<typename Lane, int kBlocks>(int64_t c) __attribute__((always_inline))

// Per-channel values from channel c on.
template <typename Lane, int kBlocks, typename Real>
struct PerChannel {
  typename Lane::template Value<Real> at[kBlocks];

  explicit MP_INLINE PerChannel(const Real* from) {
    for (int k = 0; k < kBlocks; ++k) at[k] = Lane::read(from + k * Lane::kWidth);
  }
};

// Per-channel sums over rows, kept apart for several rows so that one addition need not wait for the last.
template <typename Lane, int kBlocks, typename Real>
struct Sums {
  static constexpr int kRows = 4 / kBlocks;
  typename Lane::template Value<Real> at[kRows][kBlocks] = {};

  MP_INLINE void add_to(Real* total) const {
    for (int k = 0; k < kBlocks; ++k) {
      auto sum = at[0][k];
      for (int r = 1; r < kRows; ++r) sum += at[r][k];
      Real* to = total + k * Lane::kWidth;
      Lane::write(Lane::read(to) + sum, to);
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

}  // namespace mp

// The loops over numbers: see mix_kernels.h.

#include "mix_kernels.h"

#include "streams.h"

#include <algorithm>

namespace mp {
namespace {

// Numbers of each path in one block: all gradients of a block stay in the first-level cache.
constexpr int64_t kBlock = 512;

template <typename Number, typename Weight>
MP_INLINE void mix_impl(const Number* const* x, Number* const* y, const Weight* g, int sources, int targets,
                        int64_t offset, int64_t count) {
  blend(x, sources, y, targets, g, FromZero<Number, Weight>{}, offset, count);
}

template <typename Number, typename Weight>
MP_INLINE void products_impl(const Number* const* x, const Number* const* dy, Weight* dg, int sources, int targets,
                             int64_t offset, int64_t count) {
  std::fill(dg, dg + sources * targets, Weight{0});
  inner_products(x, sources, dy, targets, dg, offset, count);
}

template <typename Number, typename Weight>
MP_INLINE void gradients_impl(const Number* const* x, const Number* const* dy, Number* const* dx, const Weight* g,
                              Weight* dg, int sources, int targets, int64_t offset, int64_t count) {
  std::fill(dg, dg + sources * targets, Weight{0});
  Weight back[kMaxPaths * kMaxPaths];
  transpose(g, back, sources, targets);
  for (int64_t at = 0; at < count; at += kBlock) {
    const int64_t here = std::min(kBlock, count - at);
    blend(dy, targets, dx, sources, back, FromZero<Number, Weight>{}, offset + at, here);
    inner_products(x, sources, dy, targets, dg, offset + at, here);
  }
}

// The parts of a row that are read at once.
template <typename Number, typename Real>
struct PairOf {
  static constexpr int64_t kWidth = kPair;
  static MP_INLINE Pair<Real> read(const Number* from) { return load32(from); }
  static MP_INLINE void write(Pair<Real> value, Number* to) { store32(value, to); }
  static MP_INLINE Vector<Real> folded(Pair<Real> value) { return value.first + value.second; }
};
template <typename Number, typename Real>
struct VectorOf {
  static constexpr int64_t kWidth = kLanes;
  static MP_INLINE Vector<Real> read(const Number* from) { return load16(from); }
  static MP_INLINE void write(Vector<Real> value, Number* to) { store16(value, to); }
  static MP_INLINE Vector<Real> folded(Vector<Real> value) { return value; }
};

// Calls `part.template operator()<Part>(k)` for the whole parts of a row and `one(k)` for each number after them.
template <typename Number, typename Real, typename Whole, typename One>
MP_INLINE void over_row(int64_t width, Whole part, One one) {
  int64_t k = 0;
  for (; k + kPair <= width; k += kPair) part.template operator()<PairOf<Number, Real>>(k);
  for (; k + kLanes <= width; k += kLanes) part.template operator()<VectorOf<Number, Real>>(k);
  for (; k < width; ++k) one(k);
}

template <typename Number, typename Real>
MP_INLINE void gate_rows_impl(const Number* const* x, Number* const* z, const Real* g, const RowsShape& shape,
                              int64_t b) {
  const auto [sources, targets, rows, width] = shape;
  // The parts of a target's row meet in the first-level cache before they are written back.
  const int64_t block = std::max<int64_t>(kBlock / width, 1);
  for (int64_t from = 0; from < rows; from += block) {
    const int64_t end = std::min(from + block, rows);
    for (int i = 0; i < sources; ++i) {
      for (int64_t row = from; row < end; ++row) {
        const Number* in = x[i] + (b * rows + row) * width;
        const int64_t out = ((b * rows + row) * sources + i) * width;
        over_row<Number, Real>(
            width,
            [&]<typename Part>(int64_t k) __attribute__((always_inline)) {
              const auto value = Part::read(in + k);
              for (int j = 0; j < targets; ++j) Part::write(g[i * targets + j] * value, z[j] + out + k);
            },
            [&](int64_t k) __attribute__((always_inline)) {
              for (int j = 0; j < targets; ++j) store(g[i * targets + j] * load(in[k]), z[j][out + k]);
            });
      }
    }
  }
}

template <typename Number, typename Real>
MP_INLINE void gate_rows_gradients_impl(const Number* const* x, const Number* const* dz, Number* const* dx,
                                        const Real* g, Real* dg, const RowsShape& shape, int64_t b) {
  const auto [sources, targets, rows, width] = shape;
  Vector<Real> lanes[kMaxPaths * kMaxPaths] = {};
  std::fill(dg, dg + sources * targets, Real{0});
  const int64_t block = std::max<int64_t>(kBlock / width, 1);
  for (int64_t from = 0; from < rows; from += block) {
    const int64_t end = std::min(from + block, rows);
    for (int i = 0; i < sources; ++i) {
      const Real* weights = g + i * targets;
      Vector<Real>* sums = lanes + i * targets;
      for (int64_t row = from; row < end; ++row) {
        const int64_t in = (b * rows + row) * width;
        const int64_t out = ((b * rows + row) * sources + i) * width;
        over_row<Number, Real>(
            width,
            [&]<typename Part>(int64_t k) __attribute__((always_inline)) {
              const auto value = Part::read(x[i] + in + k);
              auto gradient = Part::read(dz[0] + out + k);
              sums[0] += Part::folded(value * gradient);
              gradient = weights[0] * gradient;
              for (int j = 1; j < targets; ++j) {
                const auto other = Part::read(dz[j] + out + k);
                sums[j] += Part::folded(value * other);
                gradient += weights[j] * other;
              }
              Part::write(gradient, dx[i] + in + k);
            },
            [&](int64_t k) __attribute__((always_inline)) {
              Real gradient = 0;
              for (int j = 0; j < targets; ++j) {
                const Real other = load(dz[j][out + k]);
                dg[i * targets + j] += load(x[i][in + k]) * other;
                gradient += weights[j] * other;
              }
              store(gradient, dx[i][in + k]);
            });
      }
    }
  }
  for (int pair = 0; pair < sources * targets; ++pair) {
    for (int lane = 0; lane < kLanes; ++lane) dg[pair] += lanes[pair][lane];
  }
}

}  // namespace

#define MP_KERNELS(Number, Weight)                                                                                   \
  MP_CLONES void mix_sample(const Number* const* x, Number* const* y, const Weight* g, int sources, int targets,     \
                            int64_t offset, int64_t count) {                                                         \
    mix_impl(x, y, g, sources, targets, offset, count);                                                              \
  }                                                                                                                  \
  MP_CLONES void mix_sample_gradients(const Number* const* x, const Number* const* dy, Number* const* dx,            \
                                      const Weight* g, Weight* dg, int sources, int targets, int64_t offset,         \
                                      int64_t count) {                                                               \
    gradients_impl(x, dy, dx, g, dg, sources, targets, offset, count);                                               \
  }                                                                                                                  \
  MP_CLONES void mix_sample_products(const Number* const* x, const Number* const* dy, Weight* dg, int sources,       \
                                     int targets, int64_t offset, int64_t count) {                                   \
    products_impl(x, dy, dg, sources, targets, offset, count);                                                       \
  }                                                                                                                  \
  MP_CLONES void gate_rows(const Number* const* x, Number* const* z, const Weight* g, const RowsShape& shape,        \
                           int64_t b) {                                                                              \
    gate_rows_impl(x, z, g, shape, b);                                                                               \
  }                                                                                                                  \
  MP_CLONES void gate_rows_gradients(const Number* const* x, const Number* const* dz, Number* const* dx,             \
                                     const Weight* g, Weight* dg, const RowsShape& shape, int64_t b) {               \
    gate_rows_gradients_impl(x, dz, dx, g, dg, shape, b);                                                            \
  }

MP_KERNELS(float, float)
MP_KERNELS(double, double)
MP_KERNELS(bf16, float)

}  // namespace mp

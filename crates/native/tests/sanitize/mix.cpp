// Mixing and its gradients against their definition in float64.

#include "common.h"

#include <vector>

namespace {

template <typename Number>
struct Rows {
  Rows(int paths, int64_t count, int64_t shift, double phase) {
    for (int path = 0; path < paths; ++path) {
      rows.emplace_back(count, shift + path);
      fill(rows.back(), phase + path);
      read.push_back(rows.back().data());
      write.push_back(rows.back().data());
    }
  }

  std::vector<Row<Number>> rows;
  std::vector<const Number*> read;
  std::vector<Number*> write;
};

// `offset` numbers of other samples lie before those that are mixed: they must stay as they are.
template <typename Number, typename Weight>
void check(int sources, int targets, int64_t offset, int64_t count, double tolerance) {
  const int64_t all = offset + count;
  Rows<Number> x(sources, all, 0, 0.1), y(targets, all, 1, 9.0), dy(targets, all, 2, 3.0), dx(sources, all, 3, 9.0);
  const Rows<Number> before(targets, all, 1, 9.0);
  Row<Weight> g(sources * targets), dg(sources * targets);
  fill(g, 0.5);

  mp::mix_sample(x.read.data(), y.write.data(), g.data(), sources, targets, offset, count);
  mp::mix_sample_gradients(x.read.data(), dy.read.data(), dx.write.data(), g.data(), dg.data(), sources, targets, offset,
                           count);
  Row<Weight> products(sources * targets);
  mp::mix_sample_products(x.read.data(), dy.read.data(), products.data(), sources, targets, offset, count);

  for (int j = 0; j < targets; ++j) {
    for (int64_t k = 0; k < all; ++k) {
      double expected = wide(before.rows[j][k]);
      if (k >= offset) {
        expected = 0;
        for (int i = 0; i < sources; ++i) {
          expected += wide(g[i * targets + j]) * wide(x.rows[i][k]);
        }
      }
      expect_near(wide(y.rows[j][k]), expected, tolerance, "mix", count, k);
    }
  }
  for (int i = 0; i < sources; ++i) {
    for (int64_t k = offset; k < all; ++k) {
      double expected = 0;
      for (int j = 0; j < targets; ++j) {
        expected += wide(g[i * targets + j]) * wide(dy.rows[j][k]);
      }
      expect_near(wide(dx.rows[i][k]), expected, tolerance, "gradient of a source", count, k);
    }
    for (int j = 0; j < targets; ++j) {
      double expected = 0;
      for (int64_t k = offset; k < all; ++k) {
        expected += wide(x.rows[i][k]) * wide(dy.rows[j][k]);
      }
      // Sums are made in float32 of bfloat16 numbers, so their error is float32's.
      const double of_a_sum = (sizeof(Weight) == 8 ? 1e-14 : 1e-6) * static_cast<double>(count + 1);
      expect_near(wide(dg[i * targets + j]), expected, of_a_sum, "gradient of a weight", count, i * targets + j);
      expect_near(wide(products[i * targets + j]), expected, of_a_sum, "product", count, i * targets + j);
    }
  }
}

// The `b`-th of two samples; what lies before it must stay as it is.
template <typename Number, typename Weight>
void check_gated(int sources, int targets, int64_t rows, int64_t width, double tolerance) {
  const int64_t one = rows * width, b = 1;
  Rows<Number> x(sources, 2 * one, 0, 0.1), z(targets, 2 * one * sources, 1, 9.0), dz(targets, 2 * one * sources, 2, 3.0),
      dx(sources, 2 * one, 3, 9.0);
  const Rows<Number> before(targets, 2 * one * sources, 1, 9.0);
  Row<Weight> g(sources * targets), dg(sources * targets);
  fill(g, 0.5);
  const mp::RowsShape shape{sources, targets, rows, width};
  mp::gate_rows(x.read.data(), z.write.data(), g.data(), shape, b);
  mp::gate_rows_gradients(x.read.data(), dz.read.data(), dx.write.data(), g.data(), dg.data(), shape, b);

  for (int j = 0; j < targets; ++j) {
    for (int64_t k = 0; k < one * sources; ++k) {
      expect_near(wide(z.rows[j][k]), wide(before.rows[j][k]), 0, "another sample", width, k);
    }
  }
  for (int i = 0; i < sources; ++i) {
    for (int j = 0; j < targets; ++j) {
      double product = 0;
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t k = 0; k < width; ++k) {
          const int64_t in = (b * rows + row) * width + k, out = ((b * rows + row) * sources + i) * width + k;
          const double gated = wide(g[i * targets + j]) * wide(x.rows[i][in]);
          expect_near(wide(z.rows[j][out]), gated, tolerance, "gated input", width, k);
          product += wide(x.rows[i][in]) * wide(dz.rows[j][out]);
        }
      }
      const double of_a_sum = (sizeof(Weight) == 8 ? 1e-14 : 1e-6) * static_cast<double>(one + 1);
      expect_near(wide(dg[i * targets + j]), product, of_a_sum, "gradient of a gate", width, i * targets + j);
    }
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t k = 0; k < width; ++k) {
        double expected = 0;
        for (int j = 0; j < targets; ++j) {
          expected += wide(g[i * targets + j]) * wide(dz.rows[j][((b * rows + row) * sources + i) * width + k]);
        }
        expect_near(wide(dx.rows[i][(b * rows + row) * width + k]), expected, tolerance, "gradient of an input", width, k);
      }
    }
  }
}

template <typename Number, typename Weight>
void check_type(double tolerance) {
  for (const int64_t width : {1, 15, 16, 32, 49, 600}) {
    check_gated<Number, Weight>(3, 3, 5, width, tolerance);
    check_gated<Number, Weight>(2, 8, 40, width, tolerance);
  }
  for (const int64_t count : kCounts) {
    check<Number, Weight>(3, 3, 0, count, tolerance);
    check<Number, Weight>(2, 5, 13, count, tolerance);
  }
  for (int sources = 1; sources <= mp::kMaxPaths; ++sources) {
    for (int targets = 1; targets <= mp::kMaxPaths; ++targets) {
      check<Number, Weight>(sources, targets, 5, 531, tolerance);
    }
  }
}

}  // namespace

void check_mix() {
  check_type<float, float>(1e-5);
  check_type<double, double>(1e-13);
  // Sums of up to eight numbers within ±1, rounded to eight bits.
  check_type<mp::bf16, float>(2e-2);
}

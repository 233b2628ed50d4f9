// Optimiser steps against the same arithmetic one number at a time: to the last bit, whatever the vectors.

#include "../../cpp/step_kernels.h"

#include "common.h"

namespace {

template <typename Number>
void same(const Row<Number>& found, const Row<Number>& expected, const char* what) {
  for (int64_t k = 0; k < found.size(); ++k) {
    expect(found[k] == expected[k], what, found.size(), k, found[k], expected[k]);
  }
}

template <typename Number>
void check_sgd(int64_t count, int64_t shift, bool momentum, bool nesterov) {
  Row<Number> p(count, shift), g(count, shift + 1), v(count, shift + 2);
  Row<Number> expected_p(count), expected_v(count);
  fill(p, 0.1);
  fill(g, 0.2);
  fill(v, 0.3);
  fill(expected_p, 0.1);
  fill(expected_v, 0.3);
  const mp::Sgd<Number> rule = {Number(0.1), Number(0.9), Number(0.01), nesterov};
  mp::sgd_step(p.data(), g.data(), momentum ? v.data() : nullptr, rule, count);
  for (int64_t k = 0; k < count; ++k) {
    const Number gradient = g[k] + expected_p[k] * rule.decay;
    Number direction = gradient;
    if (momentum) {
      expected_v[k] = expected_v[k] * rule.momentum + gradient;
      direction = nesterov ? gradient + expected_v[k] * rule.momentum : expected_v[k];
    }
    expected_p[k] -= direction * rule.rate;
  }
  same(p, expected_p, "SGD, parameter");
  same(v, expected_v, "SGD, velocity");
}

template <typename Number>
void check_adamw(int64_t count, int64_t shift) {
  Row<Number> p(count, shift), g(count, shift + 1), m(count, shift + 2), s(count, shift + 3);
  Row<Number> expected_p(count), expected_m(count), expected_s(count);
  fill(p, 0.1);
  fill(g, 0.2);
  fill(m, 0.3);
  fill(expected_p, 0.1);
  fill(expected_m, 0.3);
  // Mean squares are not negative; every third is zero, as at the start.
  for (int64_t k = 0; k < count; ++k) {
    s[k] = expected_s[k] = k % 3 == 0 ? Number(0) : g[k] * g[k];
  }
  const mp::AdamW<Number> rule = {Number(0.999), Number(0.1), Number(0.99), Number(0.01),
                                  Number(1.5),   Number(1e-8), Number(0.02)};
  mp::adamw_step(p.data(), g.data(), m.data(), s.data(), rule, count);
  for (int64_t k = 0; k < count; ++k) {
    expected_m[k] = expected_m[k] + rule.mean_share * (g[k] - expected_m[k]);
    expected_s[k] = expected_s[k] * rule.square_keep + g[k] * g[k] * rule.square_share;
    const Number scale = std::sqrt(expected_s[k]) * rule.square_scale + rule.eps;
    expected_p[k] = expected_p[k] * rule.keep - expected_m[k] / scale * rule.mean_rate;
  }
  same(p, expected_p, "AdamW, parameter");
  same(m, expected_m, "AdamW, mean");
  same(s, expected_s, "AdamW, mean square");
}

template <typename Number>
void check_norm(int64_t count, int64_t shift) {
  Row<Number> x(count, shift), expected(count);
  fill(x, 0.4);
  fill(expected, 0.4);
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    sum += double(x[k]) * double(x[k]);
  }
  expect_near(mp::sum_of_squares(x.data(), count), sum, 1e-12 * (1 + sum), "sum of squares", count, 0);
  mp::scale(x.data(), Number(0.3), count);
  for (int64_t k = 0; k < count; ++k) {
    expected[k] *= Number(0.3);
  }
  same(x, expected, "scaled");
}

template <typename Number>
void check_type() {
  for (const int64_t count : kCounts) {
    for (int64_t shift = 0; shift < 4; ++shift) {
      check_sgd<Number>(count, shift, false, false);
      check_sgd<Number>(count, shift, true, false);
      check_sgd<Number>(count, shift, true, true);
      check_adamw<Number>(count, shift);
      check_norm<Number>(count, shift);
    }
  }
}

}  // namespace

void check_step() {
  check_type<float>();
  check_type<double>();
}

// The gates of one sample against their definition in float64.

#include "../../cpp/gate_kernels.h"

#include "common.h"

#include <algorithm>
#include <vector>

namespace {

using Values = std::vector<double>;

template <typename Real>
Values widened(const Row<Real>& row) {
  return Values(row.data(), row.data() + row.size());
}

template <typename Real>
Row<Real> pattern(int64_t count, double phase) {
  Row<Real> row(count);
  fill(row, phase);
  return row;
}

template <typename Real>
void near(const Row<Real>& found, const Values& expected, const char* what) {
  const double tolerance = sizeof(Real) == 8 ? 1e-13 : 2e-5;
  for (int64_t k = 0; k < found.size(); ++k) expect_near(wide(found[k]), expected[k], tolerance, what, found.size(), k);
}

// Softmax over groups of `count` logits `stride` apart, `groups` of them `step` apart.
Values softmax(const Values& logits, int count, int stride, int groups, int step) {
  Values weights(logits.size());
  for (int group = 0; group < groups; ++group) {
    double sum = 0;
    for (int k = 0; k < count; ++k) sum += std::exp(logits[group * step + k * stride]);
    for (int k = 0; k < count; ++k) {
      const int at = group * step + k * stride;
      weights[at] = std::exp(logits[at]) / sum;
    }
  }
  return weights;
}

Values normalised(const Values& logits, mp::Normalisation how, int sources, int targets) {
  if (how == mp::Normalisation::kTargets) return softmax(logits, targets, 1, sources, targets);
  if (how == mp::Normalisation::kSources) return softmax(logits, sources, targets, targets, 1);
  Values weights;
  for (const double logit : logits) weights.push_back(1 / (1 + std::exp(-logit)));
  return weights;
}

template <typename Real>
void check_layers(int sources, int targets, int64_t channels, int64_t width, mp::Normalisation how) {
  const int64_t pairs = sources * targets;
  const auto weight1 = pattern<Real>(sources * width * channels, 0.1), bias1 = pattern<Real>(sources * width, 0.2),
             weight2 = pattern<Real>(pairs * width, 0.3), bias2 = pattern<Real>(pairs, 0.4),
             z = pattern<Real>(sources * channels, 0.5), dweights = pattern<Real>(pairs, 0.6),
             dlogits = pattern<Real>(pairs, 0.7);
  const mp::Gates<Real> gates = {weight1.data(), bias1.data(), weight2.data(), bias2.data(), sources,
                                 targets,        channels,     width,          Real(1.5),    how};
  Row<Real> hidden(sources * width), logits(pairs), weights(pairs);
  mp::gate(gates, z.data(), hidden.data(), logits.data(), weights.data());

  Values h(sources * width), a(pairs);
  for (int64_t r = 0; r < sources * width; ++r) {
    double sum = bias1[r];
    for (int64_t c = 0; c < channels; ++c) sum += wide(weight1[r * channels + c]) * z[r / width * channels + c];
    h[r] = std::max(sum, 0.0);
  }
  for (int64_t r = 0; r < pairs; ++r) {
    double sum = bias2[r];
    for (int64_t k = 0; k < width; ++k) sum += wide(weight2[r * width + k]) * h[r / targets * width + k];
    a[r] = sum / 1.5;
  }
  near(hidden, h, "hidden feature");
  near(logits, a, "logit");
  near(weights, normalised(a, how, sources, targets), "weight");

  Row<Real> da(pairs), dhidden(sources * width), dz(sources * channels);
  mp::gate_gradients(gates, hidden.data(), weights.data(), dweights.data(), dlogits.data(), da.data(), dhidden.data(),
                     dz.data());
  // dlogits by finite differences of the weights, then the two layers by their transposes.
  Values expected(pairs), dh(sources * width), expected_dz(sources * channels);
  const Values w = widened(dweights);
  for (int64_t r = 0; r < pairs; ++r) {
    const auto value = [&](double by) {
      Values moved = a;
      moved[r] += by;
      const Values g = normalised(moved, how, sources, targets);
      double sum = 0;
      for (int64_t k = 0; k < pairs; ++k) sum += g[k] * w[k];
      return sum;
    };
    expected[r] = ((value(1e-5) - value(-1e-5)) / 2e-5 + dlogits[r]) / 1.5;
    // The rest is compared on the kernel's own, so that the error of the differences stays out of it.
    expect_near(wide(da[r]), expected[r], sizeof(Real) == 8 ? 1e-9 : 2e-5, "gradient of a logit", pairs, r);
    for (int64_t k = 0; k < width; ++k) {
      const int64_t at = r / targets * width + k;
      dh[at] += h[at] > 0 ? wide(da[r]) * weight2[r * width + k] : 0;
    }
  }
  near(dhidden, dh, "gradient of a hidden feature");
  for (int64_t r = 0; r < sources * width; ++r) {
    for (int64_t c = 0; c < channels; ++c) {
      expected_dz[r / width * channels + c] += wide(dhidden[r]) * weight1[r * channels + c];
    }
  }
  near(dz, expected_dz, "gradient of a pooled feature");
}

template <typename Number, typename Real>
void check_maps(const mp::MapShape& map, int sources, int targets) {
  const auto at = [&](int64_t c, int64_t k) { return map.channels_last ? k * map.channels + c : c * map.pixels + k; };
  // One sample lies before the one that is read.
  const int64_t offset = map.numbers();
  std::vector<Row<Number>> dy, dx;
  std::vector<const Number*> from;
  std::vector<Number*> to;
  for (int j = 0; j < targets; ++j) {
    dy.emplace_back(2 * offset, j);
    fill(dy.back(), j);
  }
  for (int i = 0; i < sources; ++i) dx.emplace_back(2 * offset, i + 1);
  for (auto& row : dy) from.push_back(row.data());
  for (auto& row : dx) to.push_back(row.data());
  const auto g = pattern<Real>(sources * targets, 0.2), add = pattern<Real>(sources * map.channels, 0.8);
  const double tolerance = sizeof(Number) == 8 ? 1e-13 : sizeof(Number) == 4 ? 1e-5 : 3e-2;

  Row<Real> z(map.channels);
  mp::pool(dy[0].data() + offset, z.data(), map);
  for (int64_t c = 0; c < map.channels; ++c) {
    double sum = 0;
    for (int64_t k = 0; k < map.pixels; ++k) sum += wide(dy[0][offset + at(c, k)]);
    expect_near(wide(z[c]), sum / static_cast<double>(map.pixels), 1e-5, "pooled feature", map.channels, c);
  }

  mp::mix_gradient_and_add(from.data(), to.data(), g.data(), add.data(), sources, targets, offset, map);
  for (int i = 0; i < sources; ++i) {
    for (int64_t c = 0; c < map.channels; ++c) {
      for (int64_t k = 0; k < map.pixels; ++k) {
        double sum = add[i * map.channels + c];
        for (int j = 0; j < targets; ++j) sum += wide(g[i * targets + j]) * wide(dy[j][offset + at(c, k)]);
        expect_near(wide(dx[i][offset + at(c, k)]), sum, tolerance, "gradient of a map", map.numbers(), at(c, k));
      }
    }
    for (int64_t k = 0; k < offset; ++k) expect(wide(dx[i][k]) == 0, "another sample", offset, k, wide(dx[i][k]), 0);
  }
}

}  // namespace

void check_gate() {
  for (const auto how : {mp::Normalisation::kTargets, mp::Normalisation::kSources, mp::Normalisation::kSigmoid}) {
    for (int paths = 1; paths <= mp::kMaxPaths; ++paths) {
      check_layers<float>(paths, mp::kMaxPaths + 1 - paths, 17, 5, how);
      check_layers<double>(paths, paths, 33, 16, how);
    }
  }
  for (const bool channels_last : {false, true}) {
    for (const int64_t channels : {1, 3, 16, 33, 115, 600}) {
      for (const int64_t pixels : {1, 5, 49}) {
        const mp::MapShape map = {channels, pixels, channels_last};
        check_maps<float, float>(map, 3, 2);
        check_maps<double, double>(map, 2, 3);
        check_maps<mp::bf16, float>(map, 2, 2);
      }
    }
    for (int targets = 1; targets <= mp::kMaxPaths; ++targets) {
      check_maps<float, float>({35, 7, channels_last}, mp::kMaxPaths + 1 - targets, targets);
    }
  }
}

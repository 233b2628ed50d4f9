// Gates and mixing against their definition. Included in a namespace of one format, width, and number of sources and targets.

#include "../../cuda/route.cu"
#include "arrays.h"
#include "path_arrays.h"

struct RouteCheck {
  int64_t samples, channels, pixels, width;
  bool planes;
  int normalisation;
  bool backwards;
  int64_t numbers{channels * pixels};
  mp::RouteGeometry geometry{samples, kSources, kTargets, channels, width};
  RouteShape shape{static_cast<int>(channels), static_cast<int>(pixels), planes, static_cast<int>(width), normalisation,
                   0.7f};
  Maps x{kSources, samples * numbers, 0.1};
  Array<float> weight1{kSources * width * channels}, bias1{kSources * width}, weight2{kPairs * width}, bias2{kPairs};
  Array<float> pooled{samples * kSources * channels}, hidden{samples * kSources * width}, logits{samples * kPairs},
      weights{samples * kPairs};

  int64_t channel(int64_t k) const { return planes ? k / pixels : k % channels; }

  void forward(bool mixes) {
    fill_floats(weight1, 0.2);
    fill_floats(bias1, 0.4);
    fill_floats(weight2, 0.6);
    fill_floats(bias2, 0.8);
    Maps y(kTargets, samples * numbers);
    RouteCall call{};
    x.give(call.x);
    y.give(call.y);
    call.shape = shape;
    call.weight1 = weight1.data();
    call.bias1 = bias1.data();
    call.weight2 = weight2.data();
    call.bias2 = bias2.data();
    call.pooled = pooled.data();
    call.hidden = hidden.data();
    call.logits = logits.data();
    call.weights = weights.data();
    gpu::launch(geometry.each(), backwards, [&] { mixes ? route_forward(call) : gate_forward(call); }, geometry.room());

    for (int64_t b = 0; b < samples; ++b) {
      std::vector<double> a(kPairs), g(kPairs);
      for (int i = 0; i < kSources; ++i) {
        std::vector<double> z(static_cast<size_t>(channels)), h(static_cast<size_t>(width));
        for (int64_t k = 0; k < numbers; ++k) {
          z[static_cast<size_t>(channel(k))] += x.wide(i, b * numbers + k) / static_cast<double>(pixels);
        }
        for (int64_t c = 0; c < channels; ++c) {
          near(pooled[(b * kSources + i) * channels + c], z[static_cast<size_t>(c)], 2e-6, "mean", c);
        }
        for (int64_t k = 0; k < width; ++k) {
          double sum = bias1[i * width + k];
          for (int64_t c = 0; c < channels; ++c) {
            sum += weight1[(i * width + k) * channels + c] * z[static_cast<size_t>(c)];
          }
          h[static_cast<size_t>(k)] = std::max(sum, 0.0);
          near(hidden[(b * kSources + i) * width + k], h[static_cast<size_t>(k)], 2e-5, "hidden feature", k);
        }
        for (int j = 0; j < kTargets; ++j) {
          const int pair = i * kTargets + j;
          double sum = bias2[pair];
          for (int64_t k = 0; k < width; ++k) sum += weight2[pair * width + k] * h[static_cast<size_t>(k)];
          a[static_cast<size_t>(pair)] = sum / shape.temperature;
          near(logits[b * kPairs + pair], a[static_cast<size_t>(pair)], 5e-5, "logit", pair);
        }
      }
      for (int pair = 0; pair < kPairs; ++pair) {
        double sum = 0;
        for (int other = 0; other < kPairs; ++other) {
          const bool compete = normalisation == kOverTargets ? other / kTargets == pair / kTargets
                                                             : other % kTargets == pair % kTargets;
          if (compete) sum += std::exp(a[static_cast<size_t>(other)] - a[static_cast<size_t>(pair)]);
        }
        const double expected = normalisation == kEachAlone ? 1 / (1 + std::exp(-a[static_cast<size_t>(pair)])) : 1 / sum;
        near(weights[b * kPairs + pair], expected, 5e-5, "weight", pair);
      }
      for (int64_t k = b * numbers; mixes && k < (b + 1) * numbers; ++k) {
        for (int j = 0; j < kTargets; ++j) {
          double expected = 0;
          for (int i = 0; i < kSources; ++i) expected += weights[b * kPairs + i * kTargets + j] * x.wide(i, k);
          near(y.wide(j, k), expected, kRounding, "target", k);
        }
      }
    }
  }

  // After `forward`, whose numbers it takes as they are.
  void gradients(bool mixes, bool more) {
    Maps dy(kTargets, samples * numbers, 0.7), dx(kSources, samples * numbers);
    Array<float> dweights(samples * kPairs), dlogits(samples * kPairs), passed_logits(samples * kPairs),
        passed_hidden(samples * kSources * width), passed_pooled(samples * kSources * channels);
    fill_floats(dweights, 0.5);
    fill_floats(dlogits, 0.9);
    RouteGradientCall call{};
    x.give(call.x);
    dy.give(call.dy);
    dx.give(call.dx);
    call.shape = shape;
    call.weight1 = weight1.data();
    call.weight2 = weight2.data();
    call.hidden = hidden.data();
    call.weights = weights.data();
    call.dweights = more ? dweights.data() : nullptr;
    call.dlogits = more ? dlogits.data() : nullptr;
    call.passed_logits = passed_logits.data();
    call.passed_hidden = passed_hidden.data();
    call.passed_pooled = passed_pooled.data();
    gpu::launch(geometry.each(), backwards, [&] { mixes ? route_gradient(call) : gate_gradient(call); }, geometry.room());

    for (int64_t b = 0; b < samples; ++b) {
      const auto g = [&](int pair) { return static_cast<double>(weights[b * kPairs + pair]); };
      std::vector<double> dg(kPairs), da(kPairs);
      for (int pair = 0; pair < kPairs; ++pair) {
        auto& sum = dg[static_cast<size_t>(pair)];
        for (int64_t k = b * numbers; mixes && k < (b + 1) * numbers; ++k) {
          sum += x.wide(pair / kTargets, k) * dy.wide(pair % kTargets, k);
        }
        if (more) sum += dweights[b * kPairs + pair];
      }
      const double size = mixes ? 1 + static_cast<double>(numbers) * 0.1 : 1;
      for (int pair = 0; pair < kPairs; ++pair) {
        double mean = 0;
        for (int other = 0; other < kPairs; ++other) {
          const bool compete = normalisation == kOverTargets ? other / kTargets == pair / kTargets
                                                             : other % kTargets == pair % kTargets;
          if (compete) mean += g(other) * dg[static_cast<size_t>(other)];
        }
        const double own = dg[static_cast<size_t>(pair)];
        const double before = normalisation == kEachAlone ? own * g(pair) * (1 - g(pair)) : g(pair) * (own - mean);
        da[static_cast<size_t>(pair)] = (before + (more ? dlogits[b * kPairs + pair] : 0.0f)) / shape.temperature;
        near(passed_logits[b * kPairs + pair], da[static_cast<size_t>(pair)], 1e-5 * size, "gradient of a logit", pair);
      }
      for (int i = 0; i < kSources; ++i) {
        std::vector<double> dh(static_cast<size_t>(width)), dz(static_cast<size_t>(channels));
        for (int64_t k = 0; k < width; ++k) {
          const int64_t at = (b * kSources + i) * width + k;
          for (int j = 0; j < kTargets && hidden[at] > 0; ++j) {
            const int pair = i * kTargets + j;
            dh[static_cast<size_t>(k)] += passed_logits[b * kPairs + pair] * static_cast<double>(weight2[pair * width + k]);
          }
          near(passed_hidden[at], dh[static_cast<size_t>(k)], 1e-5 * size, "gradient of a hidden feature", k);
        }
        for (int64_t c = 0; c < channels; ++c) {
          for (int64_t k = 0; k < width; ++k) {
            dz[static_cast<size_t>(c)] += dh[static_cast<size_t>(k)] * weight1[(i * width + k) * channels + c] /
                                          static_cast<double>(pixels);
          }
          if (!mixes) {
            near(passed_pooled[(b * kSources + i) * channels + c], dz[static_cast<size_t>(c)], 1e-5 * size,
                 "gradient of a mean", c);
          }
        }
        for (int64_t k = 0; mixes && k < numbers; ++k) {
          double expected = dz[static_cast<size_t>(channel(k))];
          for (int j = 0; j < kTargets; ++j) expected += g(i * kTargets + j) * dy.wide(j, b * numbers + k);
          near(dx.wide(i, b * numbers + k), expected, kRounding + 1e-5 * size, "gradient of a source", k);
        }
      }
    }
  }
};

inline void check_route(int64_t samples, int64_t channels, int64_t pixels, int64_t width, bool planes) {
  const auto check = [&](int normalisation, bool mixes, bool more, bool backwards) {
    RouteCheck route{samples, channels, pixels, width, planes, normalisation, backwards};
    route.forward(mixes);
    route.gradients(mixes, more);
  };
  check(kOverTargets, false, true, false);
  check(kOverSources, true, true, true);
  check(kEachAlone, true, false, false);
}

inline void check_route() {
  check_route(2, 2 * kWidth, 49, 5, false);
  check_route(1, 3 * kWidth, 11, 16, false);
  check_route(1, 35 * kWidth, 4, 3, false);
  check_route(2, 8 * kWidth, 1, 16, false);
  check_route(2, 5, 6 * kWidth, 4, true);
}

// Mixing against its definition. Included in a namespace of one format, width, and number of sources and targets.

#include "../../cuda/mix.cu"
#include "arrays.h"
#include "path_arrays.h"

inline void check_mix(int64_t samples, int64_t vectors, int multiprocessors, bool backwards) {
  const int64_t numbers = vectors * kWidth;
  const mp::SamplesGeometry geometry{samples, vectors, multiprocessors};
  Maps x(kSources, samples * numbers, 0.1), dy(kTargets, samples * numbers, 0.7), y(kTargets, samples * numbers),
      dx(kSources, samples * numbers);
  Array<float> weights(samples * kPairs);
  fill_floats(weights, 0.3);

  MixCall call{};
  x.give(call.x);
  y.give(call.y);
  call.weights = weights.data();
  call.vectors = vectors;
  gpu::launch(geometry.each(), backwards, [&] { mix_forward(call); });

  const int64_t parts = geometry.sums().grid.y;
  Array<float> dweights(samples * parts * kPairs);
  MixGradientCall gradient{};
  x.give(gradient.x);
  dy.give(gradient.dy);
  dx.give(gradient.dx);
  gradient.weights = weights.data();
  gradient.dweights = dweights.data();
  gradient.vectors = vectors;
  gpu::launch(geometry.sums(), backwards, [&] { mix_gradient(gradient); });

  for (int64_t b = 0; b < samples; ++b) {
    const auto g = [&](int i, int j) { return static_cast<double>(weights[(b * kSources + i) * kTargets + j]); };
    for (int64_t k = b * numbers; k < (b + 1) * numbers; ++k) {
      for (int j = 0; j < kTargets; ++j) {
        double expected = 0;
        for (int i = 0; i < kSources; ++i) expected += g(i, j) * x.wide(i, k);
        near(y.wide(j, k), expected, kRounding, "target", k);
      }
      for (int i = 0; i < kSources; ++i) {
        double expected = 0;
        for (int j = 0; j < kTargets; ++j) expected += g(i, j) * dy.wide(j, k);
        near(dx.wide(i, k), expected, kRounding, "gradient of a source", k);
      }
    }
    for (int i = 0; i < kSources; ++i) {
      for (int j = 0; j < kTargets; ++j) {
        double expected = 0, found = 0;
        for (int64_t k = b * numbers; k < (b + 1) * numbers; ++k) expected += x.wide(i, k) * dy.wide(j, k);
        for (int64_t part = 0; part < parts; ++part) {
          found += dweights[((b * parts + part) * kSources + i) * kTargets + j];
        }
        near(found, expected, 1e-6 * static_cast<double>(numbers), "gradient of a weight", i * kTargets + j);
      }
    }
  }
}

inline void check_mix() {
  for (const bool backwards : {false, true}) {
    check_mix(3, 40, 1, backwards);
    check_mix(1, 2500, 3, backwards);
    check_mix(2, 1, 3, backwards);
  }
}

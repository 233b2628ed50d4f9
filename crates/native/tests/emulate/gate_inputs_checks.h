// Gated inputs against their definition. Included in a namespace of one format, width, and number of sources and targets.

#include "../../cuda/gate_inputs.cu"
#include "arrays.h"
#include "path_arrays.h"

inline void check_gate_inputs(int64_t samples, int64_t rows, int64_t across, int multiprocessors, bool backwards) {
  const int64_t width = across * kWidth, numbers = rows * width;
  const mp::SamplesGeometry geometry{samples, rows * across, multiprocessors};
  const auto for_sources = [](mp::Geometry of) {
    of.grid.z = kSources;
    return of;
  };
  Maps x(kSources, samples * numbers, 0.1), dz(kTargets, samples * numbers * kSources, 0.7),
      z(kTargets, samples * numbers * kSources), dx(kSources, samples * numbers);
  Array<float> weights(samples * kSources * kTargets);
  fill_floats(weights, 0.3);

  GateInputsCall call{};
  x.give(call.x);
  z.give(call.z);
  call.weights = weights.data();
  call.rows = rows;
  call.across = static_cast<unsigned>(across);
  gpu::launch(for_sources(geometry.each()), backwards, [&] { gate_inputs(call); });

  const int64_t parts = geometry.sums().grid.y;
  Array<float> dweights(samples * parts * kSources * kTargets);
  GateInputsGradientCall gradient{};
  x.give(gradient.x);
  dz.give(gradient.dz);
  dx.give(gradient.dx);
  gradient.weights = weights.data();
  gradient.dweights = dweights.data();
  gradient.rows = rows;
  gradient.across = static_cast<unsigned>(across);
  gpu::launch(for_sources(geometry.sums()), backwards, [&] { gate_inputs_gradient(gradient); });

  for (int64_t b = 0; b < samples; ++b) {
    for (int i = 0; i < kSources; ++i) {
      std::vector<double> products(kTargets);
      for (int64_t row = b * rows; row < (b + 1) * rows; ++row) {
        for (int64_t k = 0; k < width; ++k) {
          const int64_t in = row * width + k, out = (row * kSources + i) * width + k;
          double expected = 0;
          for (int j = 0; j < kTargets; ++j) {
            const double g = weights[(b * kSources + i) * kTargets + j];
            near(z.wide(j, out), g * x.wide(i, in), kRounding, "gated input", out);
            expected += g * dz.wide(j, out);
            products[static_cast<size_t>(j)] += x.wide(i, in) * dz.wide(j, out);
          }
          near(dx.wide(i, in), expected, kRounding, "gradient of a source", in);
        }
      }
      for (int j = 0; j < kTargets; ++j) {
        double found = 0;
        for (int64_t part = 0; part < parts; ++part) {
          found += dweights[((b * parts + part) * kSources + i) * kTargets + j];
        }
        near(found, products[static_cast<size_t>(j)], 1e-6 * static_cast<double>(numbers), "gradient of a weight",
             i * kTargets + j);
      }
    }
  }
}

inline void check_gate_inputs() {
  for (const bool backwards : {false, true}) {
    check_gate_inputs(3, 9, 2, 1, backwards);
    check_gate_inputs(1, 700, 3, 3, backwards);
    check_gate_inputs(2, 1, 5, 3, backwards);
  }
}

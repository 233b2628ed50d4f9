// Batch normalisation against its definition. Included in a namespace of one format and width.

#include "../../cuda/norm.cu"
#include "arrays.h"

struct NormCheck {
  int64_t rows, channels;
  bool backwards;
  mp::RowsGeometry geometry{rows, static_cast<int>(channels / kWidth), 3};
  Array<Number> x{rows * channels}, residual{rows * channels}, dy{rows * channels};
  Array<float> weight{channels}, bias{channels}, running_mean{channels}, running_var{channels}, mean{channels},
      invstd{channels}, scale{channels}, offset{channels};
  Array<float> partials{static_cast<int64_t>(geometry.sums().grid.x) * geometry.sums().grid.y *
                        geometry.sums().block.x * kSums};
  Array<unsigned> arrived{geometry.sums().grid.y};
  std::vector<double> means, deviations;

  NormCheck(int64_t rows, int64_t channels, bool backwards) : rows(rows), channels(channels), backwards(backwards) {
    fill(x, 0.1);
    fill(residual, 0.5);
    fill(dy, 0.9);
    fill_floats(weight, 0.2);
    fill_floats(bias, 0.4);
    for (int64_t c = 0; c < channels; ++c) {
      running_mean[c] = 0.5f;
      running_var[c] = 2.0f;
    }
    for (int64_t k = 0; k < arrived.size(); ++k) arrived[k] = 0;
  }

  int columns() const { return static_cast<int>(channels / kWidth); }

  void idle() {
    for (int64_t k = 0; k < arrived.size(); ++k) near(arrived[k], 0, 0, "counter after a call", k);
  }

  void moments() {
    const NormMomentsCall call = {x.data(),           rows,           columns(),          partials.data(),
                                  arrived.data(),     weight.data(),  bias.data(),        running_mean.data(),
                                  running_var.data(), mean.data(),    invstd.data(),      scale.data(),
                                  offset.data(),      0.1,            1e-5};
    gpu::launch(geometry.sums(), backwards, [&] { norm_moments(call); });
    idle();
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0, square = 0;
      for (int64_t row = 0; row < rows; ++row) sum += wide(x[row * channels + c]);
      const double middle = sum / static_cast<double>(rows);
      for (int64_t row = 0; row < rows; ++row) {
        const double distance = wide(x[row * channels + c]) - middle;
        square += distance * distance;
      }
      const double variance = square / static_cast<double>(rows), root = std::sqrt(variance + 1e-5);
      means.push_back(middle);
      deviations.push_back(root);
      near(mean[c], middle, 2e-6, "mean", c);
      // Few rows may lie close together.
      near(invstd[c], 1 / root, 1e-5 / root, "inverse deviation", c);
      near(running_mean[c], 0.45 + 0.1 * middle, 1e-6, "running mean", c);
      if (rows > 1) {
        near(running_var[c], 1.8 + 0.1 * square / static_cast<double>(rows - 1), 1e-6, "running variance", c);
      }
      near(scale[c], weight[c] / root, 1e-5 / root, "scale", c);
      near(offset[c], bias[c] - middle * weight[c] / root, 1e-5 / root, "offset", c);
    }
  }

  double normed(int64_t k) { return wide(x[k]) * scale[k % channels] + offset[k % channels]; }

  void results() {
    Array<Number> y(rows * channels);
    Array<unsigned char> bits(rows * columns());
    const double largest = 2 + *std::max_element(offset.data(), offset.data() + channels) +
                           *std::max_element(scale.data(), scale.data() + channels);
    for (const bool relu : {false, true}) {
      for (const bool add : {false, true}) {
        const NormApplyCall call = {x.data(),      add ? residual.data() : nullptr, y.data(), add && relu ? bits.data() : nullptr,
                                    rows,          columns(),                       scale.data(), offset.data(),
                                    nullptr,       nullptr,                         0.0};
        gpu::launch(geometry.each(), backwards, [&] {
          add ? (relu ? norm_apply_add_relu(call) : norm_apply_add(call)) : relu ? norm_apply_relu(call) : norm_apply(call);
        });
        for (int64_t k = 0; k < rows * channels; ++k) {
          const double value = normed(k) + (add ? wide(residual[k]) : 0);
          near(wide(y[k]), relu && value < 0 ? 0 : value, kRounding * std::fabs(largest), "normed", k);
          if (add && relu) near(bits[k / kWidth] >> k % kWidth & 1, value > 0 ? 1 : 0, 0, "bit", k);
        }
      }
    }
    // By running statistics.
    const NormApplyCall call = {x.data(), nullptr,       y.data(),    nullptr,             rows,
                                columns(), weight.data(), bias.data(), running_mean.data(), running_var.data(), 1e-5};
    gpu::launch(geometry.each(), backwards, [&] { norm_apply(call); });
    for (int64_t k = 0; k < rows * channels; ++k) {
      const int64_t c = k % channels;
      if (rows == 1) break;
      near(wide(y[k]), (wide(x[k]) - running_mean[c]) / std::sqrt(running_var[c] + 1e-5) * weight[c] + bias[c],
           2 * kRounding, "normed by running statistics", k);
    }
  }

  void gradients(Mask mask, bool training) {
    Array<Number> dx(rows * channels), masked(rows * channels);
    Array<unsigned char> bits(rows * columns());
    Array<float> dweight(channels), dbias(channels), slope(channels), constant(channels);
    for (int64_t k = 0; k < bits.size(); ++k) {
      bits[k] = static_cast<unsigned char>((k * 37 + 11) % 256 & ((1 << kWidth) - 1));
    }
    const auto passes = [&](int64_t k) {
      return mask == kEverywhere || (mask == kByInput ? normed(k) > 0 : (bits[k / kWidth] >> k % kWidth & 1) != 0);
    };
    const NormGradientCall call = {dy.data(),      x.data(),        bits.data(),   dx.data(),      masked.data(),
                                   rows,           columns(),       training,      partials.data(), arrived.data(),
                                   mean.data(),    invstd.data(),   scale.data(),  offset.data(),  dweight.data(),
                                   dbias.data(),   slope.data(),    constant.data()};
    gpu::launch(geometry.sums(), backwards, [&] {
      mask == kEverywhere ? norm_sums(call) : mask == kByInput ? norm_sums_by_input(call) : norm_sums_by_bits(call);
    });
    idle();
    gpu::launch(geometry.each(), backwards, [&] {
      mask == kEverywhere ? norm_gradient(call)
      : mask == kByInput  ? norm_gradient_by_input(call)
                          : norm_gradient_by_bits(call);
    });
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0, product = 0;
      for (int64_t k = c; k < rows * channels; k += channels) {
        const double g = passes(k) ? wide(dy[k]) : 0;
        sum += g;
        product += g * (wide(x[k]) - means[c]) / deviations[c];
      }
      const double size = static_cast<double>(rows);
      near(dbias[c], sum, 1e-6 * size, "gradient of the offset", c);
      near(dweight[c], product, 1e-5 * size, "gradient of the scale", c);
      for (int64_t k = c; k < rows * channels; k += channels) {
        const double g = passes(k) ? wide(dy[k]) : 0, factor = weight[c] / deviations[c];
        const double standard = (wide(x[k]) - means[c]) / deviations[c];
        const double expected = training ? factor * (g - sum / size - standard * product / size) : factor * g;
        near(wide(dx[k]), expected, kRounding * (1 + std::fabs(factor)) * 4, "gradient of a map", k);
        if (mask == kByBits) near(wide(masked[k]), g, 0, "masked gradient", k);
      }
    }
  }
};

inline void check_norm() {
  struct {
    int64_t rows, vectors;
  } const shapes[] = {{2, 1}, {7, 3}, {1100, 2}, {257, 17}, {40, 35}};
  for (const auto& [rows, vectors] : shapes) {
    for (const bool backwards : {false, true}) {
      NormCheck check(rows, vectors * kWidth, backwards);
      check.moments();
      check.results();
      check.gradients(kEverywhere, true);
      check.gradients(kByInput, true);
      check.gradients(kByBits, true);
      check.gradients(kByInput, false);
    }
  }
}

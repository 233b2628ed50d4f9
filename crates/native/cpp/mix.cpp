// Mixing of paths in one pass over memory: Y_j = sum_i g_ij X_i and its gradients.
//
// Composed of tensor operations it reads every source once a target and every target once a source; here a block of all
// sources lies in the first-level cache while all targets are computed from it. The same holds for the gradients, which
// take one pass for both the maps' and the weights'.

#include "boundary.h"
#include "cuda/mix.h"
#include "dispatch.h"
#include "mix_kernels.h"
#include "parallel.h"
#include "paths.h"

#include <ATen/ATen.h>

namespace {

using mp::pointers;
using mp::variable_list;

struct Shape {
  int sources;
  int targets;
  int64_t batch;
  int64_t numbers;  // of one sample
};

template <typename Number, typename Weight>
void forward(const Shape& shape, const variable_list& xs, const at::Tensor& weights, const variable_list& ys) {
  const auto x = pointers<const Number>(xs);
  const auto y = pointers<Number>(ys);
  const auto* g = weights.const_data_ptr<Weight>();
  const int64_t pairs = shape.sources * shape.targets;
  mp::parallel_for(shape.batch, [&](int64_t b) {
    mp::mix_sample(x.data(), y.data(), g + b * pairs, shape.sources, shape.targets, b * shape.numbers, shape.numbers);
  });
}

template <typename Number, typename Weight>
void backward(const Shape& shape, const variable_list& xs, const at::Tensor& weights, const variable_list& dys,
              const variable_list& dxs, const at::Tensor& dweights) {
  const auto x = pointers<const Number>(xs);
  const auto dy = pointers<const Number>(dys);
  const auto dx = pointers<Number>(dxs);
  const auto* g = weights.const_data_ptr<Weight>();
  auto* dg = dweights.mutable_data_ptr<Weight>();
  const int64_t pairs = shape.sources * shape.targets;
  mp::parallel_for(shape.batch, [&](int64_t b) {
    mp::mix_sample_gradients(x.data(), dy.data(), dx.data(), g + b * pairs, dg + b * pairs, shape.sources,
                             shape.targets, b * shape.numbers, shape.numbers);
  });
}

Shape shape_of(const variable_list& xs, const at::Tensor& weights) {
  const int64_t batch = xs[0].size(0);
  return {static_cast<int>(xs.size()), static_cast<int>(weights.size(2)), batch,
          batch == 0 ? 0 : xs[0].numel() / batch};
}

struct MixBackward : public mp::PathsNode {
  std::string name() const override { return "MixBackward"; }

  variable_list apply(variable_list&& gradients) override {
    auto xs = unpacked();
    const auto weights = xs.back();
    xs.pop_back();
    fill(gradients, xs[0]);
    if (at::GradMode::is_enabled()) {
      return mp::composed_gradients(xs, weights, [&](int64_t j, int64_t) { return gradients[j]; });
    }
    auto dxs = empty_like_sources(xs);
    if (xs[0].is_cuda()) {
      dxs.push_back(mp::gpu_mix_gradients(xs, weights, gradients, variable_list(dxs)));
      return dxs;
    }
    const auto dweights = at::empty_like(weights);
    const auto shape = shape_of(xs, weights);
    mp::dispatch(xs[0].scalar_type(), [&]<typename Number, typename Weight>() {
      backward<Number, Weight>(shape, xs, weights, gradients, dxs, dweights);
    });
    dxs.push_back(dweights);
    return dxs;
  }
};

variable_list mix(const variable_list& xs, const at::Tensor& weights) {
  const auto format = xs[0].suggest_memory_format();
  variable_list ys;
  {
    at::AutoDispatchBelowADInplaceOrView below;
    for (int64_t j = 0; j < weights.size(2); ++j) {
      ys.push_back(at::empty_like(xs[0], format));
    }
    if (xs[0].is_cuda()) {
      mp::gpu_mix(xs, weights, ys);
    } else {
      const auto shape = shape_of(xs, weights);
      mp::dispatch(xs[0].scalar_type(),
                   [&]<typename Number, typename Weight>() { forward<Number, Weight>(shape, xs, weights, ys); });
    }
  }
  auto inputs = xs;
  inputs.push_back(weights);
  mp::record<MixBackward>(inputs, ys, format, [](MixBackward&) {});
  return ys;
}

}  // namespace

extern "C" {

// Writes `targets` new tensors to `ys`, owned by the caller. Returns null, or what went wrong, valid until the next call
// on this thread.
const char* mp_mix(at::Tensor* const* xs, int sources, const at::Tensor* weights, int targets, at::Tensor** ys) {
  return mp::guarded("mp::mix", [&] {
    const auto inputs = mp::in_one_layout(mp::borrowed(xs, static_cast<size_t>(sources)));
    mp::hand_over(mix(inputs, mp::checked_weights(*weights, inputs, targets)), ys);
  });
}
}

// Gates, and the mixing that they decide, sample by sample: pooling, two dense layers, normalisation and the mixing of one
// sample all find its maps in the second-level cache, so that memory is read and written once forward; backward the maps'
// gradient takes the gates' share along, dz / (H W) for every number of a channel, instead of a map of its own.
//
// The gates run in float32 for float32 and bfloat16 maps, in float64 for float64 ones, whatever autocast says.

#include "boundary.h"
#include "cuda/route.h"
#include "dispatch.h"
#include "gate_kernels.h"
#include "parallel.h"
#include "paths.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

namespace {

using mp::MapShape;
using mp::Normalisation;
using mp::pointers;
using mp::variable_list;

// weight1, bias1, weight2, bias2.
constexpr size_t kLayers = 4;

struct Settings {
  double temperature;
  Normalisation normalisation;
  bool mixes;
};

// What a call works on.
struct Call {
  variable_list xs;
  variable_list layers;
  Settings settings;
  at::MemoryFormat format;

  int sources() const { return static_cast<int>(xs.size()); }
  int targets() const { return static_cast<int>(layers[2].size(1)); }
  int64_t batch() const { return xs[0].size(0); }
  int64_t hidden() const { return layers[0].size(1); }
  at::ScalarType kind() const { return xs[0].scalar_type(); }
  at::ScalarType real() const { return mp::accumulator(kind()); }

  MapShape map() const {
    const int64_t channels = xs[0].size(1);
    const int64_t pixels = xs[0].dim() == 4 ? xs[0].size(2) * xs[0].size(3) : 1;
    // One pixel lies the same way in both layouts, and rows of channels are the quicker loop.
    return {channels, pixels, pixels == 1 || format == at::MemoryFormat::ChannelsLast};
  }

  bool on_gpu() const { return xs[0].is_cuda(); }

  mp::GpuGates gpu_gates() const {
    const auto of = map();
    return {xs, layers, of.channels, of.pixels, !of.channels_last, static_cast<int>(settings.normalisation),
            settings.temperature};
  }

  at::Tensor empty(at::IntArrayRef size) const { return at::empty(size, xs[0].options().dtype(real()).memory_format({})); }

  template <typename Real>
  mp::Gates<Real> gates() const {
    const auto values = [this](size_t at) { return mp::numbers<const Real>(layers[at]); };
    return {values(0),         values(1),          values(2), values(3),
            sources(),         targets(),          map().channels, hidden(),
            static_cast<Real>(settings.temperature), settings.normalisation};
  }
};

// What the gates found: pooled features [B, S, C], hidden features [B, S, hidden], logits over the temperature and weights
// [B, S, T].
struct Found {
  at::Tensor pooled;
  at::Tensor hidden;
  at::Tensor logits;
  at::Tensor weights;
};

template <typename Number, typename Real>
void forward(const Call& call, const Found& found, const variable_list& ys) {
  const auto map = call.map();
  const auto gates = call.gates<Real>();
  const auto x = pointers<const Number>(call.xs);
  const auto y = pointers<Number>(ys);
  const int64_t pairs = gates.sources * gates.targets, pooled = gates.sources * gates.channels,
                hidden = gates.sources * gates.hidden;
  mp::parallel_for(call.batch(), [&](int64_t b) {
    auto* z = mp::numbers<Real>(found.pooled) + b * pooled;
    auto* g = mp::numbers<Real>(found.weights) + b * pairs;
    for (int i = 0; i < gates.sources; ++i) {
      mp::pool(x[i] + b * map.numbers(), z + i * gates.channels, map);
    }
    mp::gate(gates, z, mp::numbers<Real>(found.hidden) + b * hidden, mp::numbers<Real>(found.logits) + b * pairs, g);
    if (!ys.empty()) {
      mp::mix_sample(x.data(), y.data(), g, gates.sources, gates.targets, b * map.numbers(), map.numbers());
    }
  });
}

// The gradients on the way from the gates' outputs to the maps, [B, S, ...]: before the temperature, before the ReLU, of
// the pooled features.
struct Passed {
  at::Tensor logits;
  at::Tensor hidden;
  at::Tensor pooled;
};

template <typename Number, typename Real>
void backward(const Call& call, const Found& found, const variable_list& dys, const at::Tensor& dweights,
              const at::Tensor& dlogits, const Passed& passed, const variable_list& dxs) {
  const auto map = call.map();
  const auto gates = call.gates<Real>();
  const auto x = pointers<const Number>(call.xs);
  const auto dy = pointers<const Number>(dys);
  const auto dx = pointers<Number>(dxs);
  const int64_t pairs = gates.sources * gates.targets, pooled = gates.sources * gates.channels,
                hidden = gates.sources * gates.hidden;
  mp::parallel_for(call.batch(), [&](int64_t b) {
    Real dg[mp::kMaxPaths * mp::kMaxPaths] = {};
    if (!dys.empty()) {
      mp::mix_sample_products(x.data(), dy.data(), dg, gates.sources, gates.targets, b * map.numbers(), map.numbers());
    }
    if (dweights.defined()) {
      const auto* more = mp::numbers<const Real>(dweights) + b * pairs;
      for (int64_t k = 0; k < pairs; ++k) dg[k] += more[k];
    }
    const Real none[mp::kMaxPaths * mp::kMaxPaths] = {};
    const auto* da = dlogits.defined() ? mp::numbers<const Real>(dlogits) + b * pairs : none;
    auto* dz = mp::numbers<Real>(passed.pooled) + b * pooled;
    const auto* g = mp::numbers<const Real>(found.weights) + b * pairs;
    mp::gate_gradients(gates, mp::numbers<const Real>(found.hidden) + b * hidden, g, dg, da,
                       mp::numbers<Real>(passed.logits) + b * pairs, mp::numbers<Real>(passed.hidden) + b * hidden, dz);
    // A mean shares its gradient out evenly.
    for (int64_t k = 0; k < pooled; ++k) dz[k] /= static_cast<Real>(map.pixels);
    if (!dys.empty()) {
      mp::mix_gradient_and_add(dy.data(), dx.data(), g, dz, gates.sources, gates.targets, b * map.numbers(), map);
    }
  });
}

// The same by differentiable operations: what a gradient of gradients is taken of. Gives targets, weights and logits.
variable_list composed(const Call& call) {
  const auto real = call.real();
  variable_list pooled;
  for (const auto& x : call.xs) {
    const auto wide = x.to(real);
    pooled.push_back(x.dim() == 4 ? wide.mean(at::IntArrayRef{2, 3}) : wide);
  }
  const auto dense = [](const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    return at::baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2));
  };
  const auto hidden = dense(at::stack(pooled), call.layers[0], call.layers[1]).relu();
  const auto logits = dense(hidden, call.layers[2], call.layers[3]).transpose(0, 1) / call.settings.temperature;
  at::Tensor weights;
  switch (call.settings.normalisation) {
    case Normalisation::kTargets: weights = logits.softmax(2); break;
    case Normalisation::kSources: weights = logits.softmax(1); break;
    case Normalisation::kSigmoid: weights = logits.sigmoid(); break;
  }
  variable_list outputs;
  for (int64_t j = 0; call.settings.mixes && j < call.targets(); ++j) {
    at::Tensor y;
    for (int64_t i = 0; i < call.sources(); ++i) {
      const auto wide = call.xs[i].to(real);
      const auto part = wide * mp::factor(weights, i, j, wide);
      y = y.defined() ? y + part : part;
    }
    outputs.push_back(y.to(call.kind()));
  }
  outputs.push_back(weights);
  outputs.push_back(logits);
  return outputs;
}

struct RouteBackward : public mp::PathsNode {
  Found found;
  Settings settings{};

  std::string name() const override { return "RouteBackward"; }

  variable_list apply(variable_list&& gradients) override {
    const auto inputs = unpacked();
    const auto layers = inputs.end() - kLayers;
    const Call call{{inputs.begin(), layers}, {layers, inputs.end()}, settings, format};
    if (at::GradMode::is_enabled()) {
      return composed_gradients(call, gradients);
    }
    const auto logits = gradients.back().defined() ? gradients.back().to(call.real()).contiguous() : at::Tensor();
    gradients.pop_back();
    const auto weights = gradients.back().defined() ? gradients.back().to(call.real()).contiguous() : at::Tensor();
    gradients.pop_back();
    fill(gradients, call.xs[0]);
    auto dxs = settings.mixes ? empty_like_sources(call.xs) : variable_list();
    const Passed passed{at::empty_like(found.weights), at::empty_like(found.hidden), at::empty_like(found.pooled)};
    if (call.on_gpu()) {
      mp::gpu_route_gradients(call.gpu_gates(), found.hidden, found.weights, gradients, weights, logits, passed.logits,
                              passed.hidden, passed.pooled, dxs);
    } else {
      mp::dispatch(call.kind(), [&]<typename Number, typename Real>() {
        backward<Number, Real>(call, found, gradients, weights, logits, passed, dxs);
      });
    }
    for (size_t i = 0; !settings.mixes && i < call.xs.size(); ++i) {
      auto dz = passed.pooled.select(1, static_cast<int64_t>(i)).to(call.kind());
      // Not written out: one number a channel stands for its whole map.
      dxs.push_back(call.xs[i].dim() == 4 ? dz.unsqueeze(2).unsqueeze(3).expand_as(call.xs[i]) : dz);
    }
    // [S, out, in] over the batch.
    const auto product = [](const at::Tensor& dy, const at::Tensor& x) {
      return at::bmm(dy.permute({1, 2, 0}), x.transpose(0, 1));
    };
    dxs.push_back(product(passed.hidden, found.pooled));
    dxs.push_back(passed.hidden.sum(0));
    dxs.push_back(product(passed.logits, found.hidden));
    dxs.push_back(passed.logits.sum(0));
    return dxs;
  }

 private:
  variable_list composed_gradients(const Call& call, const variable_list& gradients) const {
    const auto outputs = composed(call);
    variable_list inputs, used, given;
    for (const auto& input : call.xs) inputs.push_back(input);
    for (const auto& input : call.layers) inputs.push_back(input);
    variable_list differentiable;
    for (const auto& input : inputs) {
      if (input.requires_grad()) differentiable.push_back(input);
    }
    for (size_t at = 0; at < outputs.size(); ++at) {
      if (gradients[at].defined()) {
        used.push_back(outputs[at]);
        given.push_back(gradients[at]);
      }
    }
    variable_list result(inputs.size());
    if (used.empty()) {
      return result;
    }
    const auto found = torch::autograd::grad(used, differentiable, given, true, true, true);
    for (size_t at = 0, next = 0; at < inputs.size(); ++at) {
      if (inputs[at].requires_grad()) result[at] = found[next++];
    }
    return result;
  }
};

// Targets (none where the call does not mix), weights, logits and the pooled features, which have no history.
variable_list route(const variable_list& xs, const variable_list& layers, const Settings& settings) {
  const auto format = xs[0].suggest_memory_format();
  Call call{mp::in_one_layout(xs), {}, settings, format};
  const int64_t sources = call.sources(), channels = xs[0].size(1), hidden = layers[0].size(1),
                targets = layers[2].size(1);
  const std::vector<int64_t> sizes[kLayers] = {
      {sources, hidden, channels}, {sources, hidden}, {sources, targets, hidden}, {sources, targets}};
  for (size_t at = 0; at < kLayers; ++at) {
    TORCH_CHECK(layers[at].sizes() == at::IntArrayRef(sizes[at]) && layers[at].scalar_type() == call.real() &&
                    layers[at].device() == xs[0].device(),
                "gates ", at::IntArrayRef(sizes[at]), " of ", call.real(), " expected, not ", layers[at].sizes(), " of ",
                layers[at].scalar_type());
    call.layers.push_back(layers[at].contiguous());
  }

  variable_list inputs = call.xs;
  inputs.insert(inputs.end(), call.layers.begin(), call.layers.end());
  variable_list outputs;
  Found found;
  {
    at::AutoDispatchBelowADInplaceOrView below;
    const int64_t batch = call.batch();
    found = {call.empty({batch, sources, channels}), call.empty({batch, sources, hidden}),
             call.empty({batch, sources, targets}), call.empty({batch, sources, targets})};
    for (int64_t j = 0; settings.mixes && j < targets; ++j) {
      outputs.push_back(at::empty_like(call.xs[0], format));
    }
    if (call.on_gpu()) {
      mp::gpu_route(call.gpu_gates(), found.pooled, found.hidden, found.logits, found.weights, outputs);
    } else {
      mp::dispatch(call.kind(), [&]<typename Number, typename Real>() { forward<Number, Real>(call, found, outputs); });
    }
    outputs.push_back(found.weights);
    outputs.push_back(found.logits);
  }
  mp::record<RouteBackward>(inputs, outputs, format, [&](RouteBackward& node) {
    // Outputs of the node themselves: the node holds them without their history.
    node.found = {found.pooled, found.hidden, found.logits.detach(), found.weights.detach()};
    node.settings = settings;
  });
  outputs.push_back(found.pooled);
  return outputs;
}

}  // namespace

extern "C" {

// Writes the targets (`mixes`), the weights, the logits and the pooled features, which are to be read only, to `outputs`, new
// tensors owned by the caller. `layers` are weight1, bias1, weight2 and bias2. Returns null, or what went wrong, valid until the next call on this thread.
const char* mp_route(at::Tensor* const* xs, int sources, at::Tensor* const* layers, double temperature, int normalisation,
                     bool mixes, at::Tensor** outputs) {
  return mp::guarded("mp::route", [&] {
    const auto gates = mp::borrowed(layers, kLayers);
    TORCH_CHECK(gates[0].dim() == 3 && gates[2].dim() == 3, "gates of three axes expected");
    mp::check_count("targets", gates[2].size(1));
    mp::hand_over(route(mp::borrowed(xs, static_cast<size_t>(sources)), gates,
                        {temperature, static_cast<Normalisation>(normalisation), mixes}),
                  outputs);
  });
}
}

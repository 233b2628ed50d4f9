// Batch normalisation with what follows it in a residual network, a ReLU or an addition and a ReLU, in as few passes over
// memory as it can be.
//
// Forward: one pass for the statistics, one that writes y = relu(x scale + offset + residual). Backward: one pass for the
// sums of the gradient, one that writes dx. Composed of tensor operations, the addition, the ReLU and their gradients each
// take a pass more. The gradient's mask is computed again from x, or read from y where a residual was added.

#include "boundary.h"
#include "cuda/norm.h"
#include "dispatch.h"
#include "node.h"
#include "norm_kernels.h"
#include "parallel.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <vector>

namespace {

using mp::Mask;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr auto kFormat = at::MemoryFormat::ChannelsLast;

struct Shape {
  int64_t rows;
  int64_t channels;
};

Shape shape_of(const at::Tensor& x) { return {x.size(0) * x.size(2) * x.size(3), x.size(1)}; }

// The rows of a matrix in chunks that fit into the second-level cache. Sums are made a chunk and then over the chunks in
// order, so that they do not depend on the number of threads.
struct Chunks {
  int64_t rows;
  int64_t size;

  explicit Chunks(const Shape& shape) : rows(shape.rows), size(std::max<int64_t>(32768 / shape.channels, 16)) {}

  int64_t count() const { return (rows + size - 1) / size; }

  // `body(chunk, first row, rows)` on all threads.
  template <typename Body>
  void parallel(Body body) const {
    mp::parallel_for(count(),
                     [&](int64_t chunk) { body(chunk, chunk * size, std::min(size, rows - chunk * size)); });
  }
};

// Two sums per channel of every chunk; `total` adds them up in float64, channel by channel.
template <typename Real>
class Partials {
 public:
  Partials(int64_t chunks, int64_t channels) : channels_(channels), sums_(static_cast<size_t>(2 * chunks * channels)) {}

  Real* first(int64_t chunk) { return sums_.data() + 2 * chunk * channels_; }
  Real* second(int64_t chunk) { return first(chunk) + channels_; }

  std::vector<double> total() const {
    std::vector<double> totals(static_cast<size_t>(2 * channels_));
    for (size_t at = 0; at < sums_.size(); ++at) {
      totals[at % totals.size()] += static_cast<double>(sums_[at]);
    }
    return totals;
  }

 private:
  int64_t channels_;
  std::vector<Real> sums_;
};

struct Settings {
  bool training;
  bool relu;
  double momentum;
  double eps;
};

// The per-channel values of one call, [C] each.
struct Statistics {
  at::Tensor mean;
  at::Tensor invstd;
};

// The batch's mean and inverse deviation; moves the running ones towards them.
template <typename Number, typename Real>
Statistics batch_statistics(const at::Tensor& x, const at::Tensor& running_mean, const at::Tensor& running_var,
                            const Settings& settings) {
  const auto shape = shape_of(x);
  const auto* numbers = mp::numbers<const Number>(x);
  // Squares of numbers far from 0 would cancel: the sums are of the distances from the first row.
  std::vector<Real> shift(static_cast<size_t>(shape.channels));
  for (size_t c = 0; c < shift.size(); ++c) {
    shift[c] = mp::load(numbers[c]);
  }
  const Chunks chunks(shape);
  Partials<Real> partials(chunks.count(), shape.channels);
  chunks.parallel([&](int64_t chunk, int64_t row, int64_t rows) {
    mp::norm_moments(numbers + row * shape.channels, shift.data(), partials.first(chunk), partials.second(chunk), rows,
                     shape.channels);
  });
  const auto totals = partials.total();

  const auto options = x.options().dtype(mp::accumulator(x.scalar_type())).memory_format(c10::nullopt);
  Statistics found{at::empty({shape.channels}, options), at::empty({shape.channels}, options)};
  auto* mean = mp::numbers<Real>(found.mean);
  auto* invstd = mp::numbers<Real>(found.invstd);
  auto* mean_so_far = mp::numbers<Real>(running_mean);
  auto* var_so_far = mp::numbers<Real>(running_var);
  const auto count = static_cast<double>(shape.rows);
  const auto towards = [&](Real& running, double now) {
    running = static_cast<Real>((1.0 - settings.momentum) * running + settings.momentum * now);
  };
  for (int64_t c = 0; c < shape.channels; ++c) {
    const double offset = totals[c] / count;
    const double square = totals[shape.channels + c] / count;
    // Rounding must not make it negative; a NaN must stay one.
    const double difference = square - offset * offset;
    const double variance = difference < 0.0 ? 0.0 : difference;
    const double middle = static_cast<double>(shift[c]) + offset;
    mean[c] = static_cast<Real>(middle);
    invstd[c] = static_cast<Real>(1.0 / std::sqrt(variance + settings.eps));
    towards(mean_so_far[c], middle);
    towards(var_so_far[c], variance * count / (count - 1.0));
  }
  torch::autograd::impl::bump_version(running_mean);
  torch::autograd::impl::bump_version(running_var);
  return found;
}

mp::GpuNormCall gpu_call(const Settings& settings) {
  return {settings.training, settings.relu, settings.momentum, settings.eps};
}

// The gradients by differentiable operations: what a gradient of gradients is taken of.
variable_list composed_gradients(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& y,
                                 const at::Tensor& weight, const Statistics& statistics, const Settings& settings,
                                 bool residual) {
  auto g = dy;
  if (settings.relu) {
    g = dy * (y > 0).to(dy.scalar_type());
  }
  // For constant statistics libtorch's gradient reads running ones, of which it takes the root itself.
  const auto variance = statistics.invstd.pow(-2) - settings.eps;
  auto [dx, dweight, dbias] =
      at::native_batch_norm_backward(g, x, weight, statistics.mean, variance, statistics.mean, statistics.invstd,
                                     settings.training, settings.eps, {true, true, true});
  return {dx, dweight, dbias, residual ? g : at::Tensor()};
}

struct NormBackward : public torch::autograd::Node {
  SavedVariable saved_x;
  SavedVariable saved_weight;
  SavedVariable saved_y;
  Statistics statistics;
  at::Tensor scale;
  at::Tensor offset;
  // On a GPU: see GpuNormed.
  at::Tensor bits;
  Settings settings{};
  bool residual = false;

  std::string name() const override { return "NormBackward"; }

  void release_variables() override {
    saved_x.reset_data();
    saved_weight.reset_data();
    saved_y.reset_data();
  }

  variable_list apply(variable_list&& gradients) override {
    auto dy = std::move(gradients[0]);
    if (!dy.defined()) {
      return variable_list(4);
    }
    const auto x = saved_x.unpack();
    const auto y = saved_y.unpack(mp::share<torch::autograd::Node>(this));
    dy = dy.to(x.scalar_type()).contiguous(kFormat);
    if (at::GradMode::is_enabled()) {
      return composed_gradients(dy, x, y, saved_weight.unpack(), statistics, settings, residual);
    }
    if (x.is_cuda()) {
      const mp::GpuNormed kept = {y, statistics.mean, statistics.invstd, scale, offset, bits};
      auto [dx, dweight, dbias, dresidual] =
          mp::gpu_norm_gradients(std::move(dy), x, kept, gpu_call(settings), residual);
      return {dx, dweight, dbias, dresidual};
    }
    variable_list result;
    mp::dispatch(x.scalar_type(), [&]<typename Number, typename Real>() { result = fused<Number, Real>(std::move(dy), x, y); });
    return result;
  }

 private:
  template <typename Number, typename Real>
  variable_list fused(at::Tensor dy, const at::Tensor& x, const at::Tensor& y) {
    const auto shape = shape_of(x);
    const Chunks chunks(shape);
    const auto mask = !settings.relu ? Mask::kNone : residual ? Mask::kOutput : Mask::kInput;
    // The masked gradient is the residual's; it takes the memory of dy where nobody else holds that.
    at::Tensor masked;
    if (mask == Mask::kOutput) {
      const bool ours = dy.use_count() == 1 && dy.storage().use_count() == 1;
      masked = ours ? dy : at::empty_like(dy, kFormat);
    }
    const auto* from = mp::numbers<const Number>(dy);
    const auto* numbers = mp::numbers<const Number>(x);
    const auto* output = mask == Mask::kOutput ? mp::numbers<const Number>(y) : nullptr;
    auto* to = masked.defined() ? mp::numbers<Number>(masked) : nullptr;
    const auto* a = mp::numbers<const Real>(scale);
    const auto* b = mp::numbers<const Real>(offset);
    const auto* mean = mp::numbers<const Real>(statistics.mean);
    const auto* invstd = mp::numbers<const Real>(statistics.invstd);
    Partials<Real> partials(chunks.count(), shape.channels);
    chunks.parallel([&](int64_t chunk, int64_t row, int64_t rows) {
      const int64_t at = row * shape.channels;
      mp::norm_gradient_sums(from + at, numbers + at, output == nullptr ? nullptr : output + at,
                             to == nullptr ? nullptr : to + at, a, b, mean, mask, partials.first(chunk),
                             partials.second(chunk), rows, shape.channels);
    });
    const auto totals = partials.total();

    const auto dweight = at::empty_like(statistics.mean);
    const auto dbias = at::empty_like(statistics.mean);
    std::vector<Real> slope(static_cast<size_t>(shape.channels)), constant(slope.size());
    const auto count = static_cast<double>(shape.rows);
    for (int64_t c = 0; c < shape.channels; ++c) {
      const double sum = totals[c], product = totals[shape.channels + c], inverse = invstd[c];
      mp::numbers<Real>(dbias)[c] = static_cast<Real>(sum);
      mp::numbers<Real>(dweight)[c] = static_cast<Real>(product * inverse);
      // Constant statistics pass the gradient on as it is.
      if (settings.training) {
        const double m = -a[c] * inverse * inverse * product / count;
        slope[c] = static_cast<Real>(m);
        constant[c] = static_cast<Real>(-a[c] * sum / count - m * mean[c]);
      }
    }

    const auto dx = at::empty_like(x, kFormat);
    const auto* g = masked.defined() ? to : from;
    chunks.parallel([&](int64_t, int64_t row, int64_t rows) {
      const int64_t at = row * shape.channels;
      mp::norm_gradient(g + at, numbers + at, mp::numbers<Number>(dx) + at, a, b, slope.data(), constant.data(), mask,
                        rows, shape.channels);
    });
    if (!residual) {
      return {dx, dweight, dbias, at::Tensor()};
    }
    return {dx, dweight, dbias, masked.defined() ? masked : dy};
  }
};

at::Tensor norm(at::Tensor x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& running_mean,
                const at::Tensor& running_var, at::Tensor residual, const Settings& settings) {
  const auto kind = x.scalar_type();
  const auto real = mp::accumulator(kind);
  const int64_t channels = x.size(1);
  for (const auto& values : {weight, bias, running_mean, running_var}) {
    TORCH_CHECK(values.dim() == 1 && values.size(0) == channels && values.scalar_type() == real &&
                    values.is_contiguous() && values.device() == x.device(),
                "per-channel values [", channels, "] of ", real, " expected beside the map");
  }
  x = x.contiguous(kFormat);
  if (residual.defined()) {
    TORCH_CHECK(residual.sizes() == x.sizes() && residual.device() == x.device(), "a residual of ", x.sizes(),
                " expected beside the map, not of ", residual.sizes());
    residual = residual.to(kind).contiguous(kFormat);
  }
  const bool differentiable = torch::autograd::compute_requires_grad(x, weight, bias, residual);

  Statistics statistics;
  at::Tensor y, scale, offset, bits;
  if (x.is_cuda()) {
    at::AutoDispatchBelowADInplaceOrView below;
    const auto made =
        mp::gpu_norm(x, weight, bias, running_mean, running_var, residual, gpu_call(settings), differentiable);
    statistics = {made.mean, made.invstd};
    y = made.y;
    scale = made.scale;
    offset = made.offset;
    bits = made.bits;
    if (settings.training) {
      torch::autograd::impl::bump_version(running_mean);
      torch::autograd::impl::bump_version(running_var);
    }
  } else {
    at::AutoDispatchBelowADInplaceOrView below;
    mp::dispatch(kind, [&]<typename Number, typename Real>() {
      if (settings.training) {
        statistics = batch_statistics<Number, Real>(x, running_mean, running_var, settings);
      } else {
        statistics = {running_mean.clone(), (running_var + settings.eps).rsqrt()};
      }
      scale = at::empty_like(statistics.mean);
      offset = at::empty_like(statistics.mean);
      for (int64_t c = 0; c < channels; ++c) {
        const auto of = [c](const at::Tensor& values) { return mp::numbers<Real>(values)[c]; };
        mp::numbers<Real>(scale)[c] = of(weight) * of(statistics.invstd);
        mp::numbers<Real>(offset)[c] = of(bias) - of(statistics.mean) * of(scale);
      }
      y = at::empty_like(x, kFormat);
      const auto shape = shape_of(x);
      Chunks(shape).parallel([&](int64_t, int64_t row, int64_t rows) {
        const int64_t at = row * channels;
        const auto* add = residual.defined() ? mp::numbers<const Number>(residual) + at : nullptr;
        mp::norm_apply(mp::numbers<const Number>(x) + at, add, mp::numbers<Number>(y) + at,
                       mp::numbers<const Real>(scale), mp::numbers<const Real>(offset), settings.relu, rows, channels);
      });
    });
  }
  if (differentiable) {
    auto node = mp::make_node<NormBackward>();
    node->set_next_edges(torch::autograd::collect_next_edges(x, weight, bias, residual));
    torch::autograd::set_history(y, node);
    node->saved_x = SavedVariable(x, false);
    node->saved_weight = SavedVariable(weight, false);
    if (settings.relu) {
      node->saved_y = SavedVariable(y, true);
    }
    node->statistics = statistics;
    node->scale = scale;
    node->offset = offset;
    node->bits = bits;
    node->settings = settings;
    node->residual = residual.defined();
  }
  return y;
}

}  // namespace

extern "C" {

// `y` receives a new tensor, owned by the caller; `residual` may be null. Returns null, or what went wrong, valid until the
// next call on this thread.
const char* mp_batch_norm(const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias,
                          const at::Tensor* running_mean, const at::Tensor* running_var, const at::Tensor* residual,
                          bool training, bool relu, double momentum, double eps, at::Tensor** y) {
  return mp::guarded("mp::batch_norm", [&] {
    const auto add = residual == nullptr ? at::Tensor() : *residual;
    *y = new at::Tensor(
        norm(*x, *weight, *bias, *running_mean, *running_var, add, {training, relu, momentum, eps}));
  });
}
}

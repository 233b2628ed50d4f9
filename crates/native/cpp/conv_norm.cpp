// Convolution, batch norm by its running statistics, addition and ReLU as one, for inference: the norm is folded into the
// weights, and the rest happens while the sums are still in registers. Folded weights are kept, in the order in which they are
// read for maps of this size, until one of the tensors that they were made of changes: for one image, folding and ordering
// would take longer than many a convolution.
//
// For few images in float32, without groups and on a machine with AVX-512 the loops are our own (direct_conv.h); else it is a
// primitive of oneDNN, whose call through libtorch takes tens of microseconds.

#include "autocast.h"
#include "boundary.h"
#include "direct_conv.h"
#include "dispatch.h"
#include "parallel.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <array>
#include <atomic>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace {

using Scalars = c10::List<std::optional<at::Scalar>>;
using Pointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, at::IntArrayRef,
                             at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view, Scalars,
                             std::optional<std::string_view>);
using Reorder = at::Tensor(const at::Tensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t,
                           at::OptionalIntArrayRef);
using PointwiseBinary = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef,
                                   int64_t, std::string_view, std::optional<at::Scalar>, std::optional<std::string_view>,
                                   Scalars, std::optional<std::string_view>);

template <typename Signature>
auto find(const char* op, const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow(op, overload)
      .template typed<Signature>();
}

bool takes(at::ScalarType kind) {
#if defined(__x86_64__)
  // oneDNN emulates bfloat16 with AVX-512, and not with less.
  return kind == at::kFloat || (kind == at::kBFloat16 && __builtin_cpu_supports("avx512bw"));
#else
  return kind == at::kFloat;
#endif
}

// What folded weights are made of: tensors with their versions, which every change in place raises, and the maps' size.
struct Source {
  std::array<const void*, 6> tensors;
  std::array<uint32_t, 6> versions;
  std::vector<int64_t> sizes;
  std::array<int64_t, 4> step;
  double eps;
  at::ScalarType kind;

  bool operator==(const Source&) const = default;
};

}  // namespace

// Weights and offsets of a convolution with its norm in them.
struct mp_folded {
  std::optional<Source> source;
  at::Tensor weight, offset;
  // Where the loops are our own.
  std::optional<mp::DirectPlan> plan;
};

namespace {

constexpr auto kFormat = at::MemoryFormat::ChannelsLast;
// Multiply-adds below which another thread takes longer to wake than to help.
constexpr int64_t kWorthAThread = 1 << 19;
// Into so many a thread's share is cut.
constexpr int64_t kMostParts = 8;

// Images for which the call of a primitive takes long beside its work. Of many, oneDNN's loops are as quick as ours, and quicker
// over few channels.
constexpr int64_t kFewImages = 8;

// Whether maps, of which a place is numbered in 32 bits, are for our own loops.
bool is_direct(const at::Tensor& x, int64_t groups, at::ScalarType kind) {
  return kind == at::kFloat && groups == 1 && x.size(0) <= kFewImages && mp::DirectPlan::supported() &&
         x.numel() / x.size(0) < std::numeric_limits<int32_t>::max();
}

void keep_for_direct(const at::Tensor& plain, const mp::DirectShape& shape, mp_folded& kept) {
  const auto& plan = kept.plan.emplace(shape);
  kept.weight = at::empty({plan.packed_size()}, plain.options().memory_format(c10::nullopt));
  plan.pack(mp::numbers<float>(plain), mp::numbers<float>(kept.weight));
  const int64_t filters = shape.filters, whole = (filters + mp::kLanes - 1) / mp::kLanes * mp::kLanes;
  kept.offset = at::constant_pad_nd(kept.offset, {0, whole - filters}).contiguous();
}

at::Tensor direct(const at::Tensor& x, const mp_folded& kept, const at::Tensor* residual, bool relu) {
  const auto& plan = *kept.plan;
  const auto& shape = plan.shape();
  const int64_t images = x.size(0);
  const auto y = at::empty({images, shape.filters, shape.out(0), shape.out(1)}, x.options(), kFormat);
  at::Tensor padded;
  if (plan.padded_size() > 0) {
    padded = at::empty({images, plan.padded_size()}, x.options());
    mp::parallel_for(images, [&](int64_t image) {
      plan.pad(mp::numbers<float>(x) + image * x.stride(0), mp::numbers<float>(padded) + image * plan.padded_size());
    });
  }
  const int64_t units = plan.units(images), work = plan.packed_size() * y.size(2) * y.size(3) * images;
  const auto run = [&](int64_t begin, int64_t end) {
    plan.run(mp::numbers<float>(padded.defined() ? padded : x), images, mp::numbers<float>(kept.weight),
             mp::numbers<float>(kept.offset), residual == nullptr ? nullptr : mp::numbers<float>(*residual), relu,
             mp::numbers<float>(y), begin, end);
  };
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), work / kWorthAThread);
  if (threads < 2) {
    run(0, units);
    return y;
  }
  // Every thread has a share of its own, taken in parts; whoever is done takes parts of the others' shares, so that nobody
  // waits long for a thread whose core does other work as well.
  const int64_t parts = std::clamp<int64_t>(units / threads / plan.least_units(), 1, kMostParts);
  const std::unique_ptr<std::atomic<int64_t>[]> taken(new std::atomic<int64_t>[static_cast<size_t>(threads)]());
  mp::parallel_for(threads, [&](int64_t thread) {
    for (int64_t other = 0; other < threads; ++other) {
      const int64_t share = (thread + other) % threads;
      for (int64_t part = taken[share]++; part < parts; part = taken[share]++) {
        const auto start = [&](int64_t number) { return (share * parts + number) * units / (threads * parts); };
        run(start(part), start(part + 1));
      }
    }
  });
  return y;
}

}  // namespace

extern "C" {

mp_folded* mp_folded_new() { return new mp_folded; }

void mp_folded_free(mp_folded* kept) { delete kept; }

void mp_folded_clear(mp_folded* kept) { *kept = mp_folded(); }

bool mp_can_conv_norm(const at::Tensor* x) {
  return !at::GradMode::is_enabled() && at::hasMKLDNN() && at::globalContext().userEnabledMkldnn() && x->is_cpu() &&
         x->dim() == 4 && x->numel() > 0 && x->suggest_memory_format() == at::MemoryFormat::ChannelsLast &&
         takes(mp::kind_of(*x));
}

// `stride` and `padding` are pairs, of height and width. `bias` and `residual` may be null. `kept` belongs to the convolution.
const char* mp_conv_norm(const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias, const int64_t* stride,
                         const int64_t* padding, const at::Tensor* scale, const at::Tensor* offset,
                         const at::Tensor* mean, const at::Tensor* variance, double eps, const at::Tensor* residual,
                         bool relu, mp_folded* kept, at::Tensor** y) {
  return mp::guarded("mp::conv_norm", [&] {
    TORCH_CHECK(mp_can_conv_norm(x), "a map of a float type expected, channels-last, on the CPU and without gradients");
    // The primitive itself looks at few of the sizes.
    const int64_t inputs = weight->dim() == 4 ? weight->size(1) : 0;
    TORCH_CHECK(inputs > 0 && x->size(1) % inputs == 0 && weight->size(0) % (x->size(1) / inputs) == 0,
                "weights [out, ", x->size(1), " / groups, kernel, kernel] expected for a map ", x->sizes(), ", found ",
                weight->sizes());
    const int64_t groups = x->size(1) / inputs;
    for (const auto* values : {bias, scale, offset, mean, variance}) {
      TORCH_CHECK(values == nullptr || (values->dim() == 1 && values->size(0) == weight->size(0)),
                  "one value for each of ", weight->size(0), " channels expected, found ", values->sizes());
    }
    const auto length = [&](int64_t axis) {
      return (x->size(axis) + 2 * padding[axis - 2] - weight->size(axis)) / stride[axis - 2] + 1;
    };
    const int64_t sizes[] = {x->size(0), weight->size(0), length(2), length(3)};
    TORCH_CHECK(residual == nullptr || residual->sizes() == at::IntArrayRef(sizes), "a residual ", at::IntArrayRef(sizes),
                " expected, found ", residual->sizes());
    const auto kind = mp::kind_of(*x);
    const int64_t strides[] = {stride[0], stride[1]}, paddings[] = {padding[0], padding[1]}, dilations[] = {1, 1};
    Source source = {{}, {}, x->sizes().vec(), {stride[0], stride[1], padding[0], padding[1]}, eps, kind};
    const at::Tensor* const of[] = {weight, bias, scale, offset, mean, variance};
    for (size_t at = 0; at < std::size(of); ++at) {
      source.tensors[at] = of[at] == nullptr ? nullptr : of[at]->unsafeGetTensorImpl();
      source.versions[at] = of[at] == nullptr ? 0 : of[at]->unsafeGetTensorImpl()->version_counter().current_version();
    }
    if (kept->source != source) {
      *kept = mp_folded();
      const auto factor = *scale * (*variance + eps).rsqrt();
      const auto plain = (*weight * factor.reshape({-1, 1, 1, 1})).to(kind).contiguous(kFormat);
      const auto start = bias == nullptr ? -*mean : *bias - *mean;
      kept->offset = (*offset + start * factor).to(kind);
      if (is_direct(*x, groups, kind)) {
        const mp::DirectShape shape = {x->size(1),
                                       weight->size(0),
                                       {x->size(2), x->size(3)},
                                       {weight->size(2), weight->size(3)},
                                       {stride[0], stride[1]},
                                       {padding[0], padding[1]}};
        keep_for_direct(plain, shape, *kept);
      } else {
        static const auto reorder = find<Reorder>("mkldnn::_reorder_convolution_weight", "");
        kept->weight = reorder.call(plain, paddings, strides, dilations, groups, x->sizes());
      }
      kept->source = std::move(source);
    }
    const auto& folded = kept->weight;
    const auto& added = kept->offset;
    const auto input = x->to(kind).contiguous(kFormat);
    if (kept->plan.has_value()) {
      const auto around = residual == nullptr ? at::Tensor() : residual->to(kind).contiguous(kFormat);
      *y = new at::Tensor(direct(input, *kept, residual == nullptr ? nullptr : &around, relu));
      return;
    }
    // Of convolutions in groups the primitive adds nothing.
    if (residual == nullptr || groups > 1) {
      static const auto op = find<Pointwise>("mkldnn::_convolution_pointwise", "");
      const bool last = residual == nullptr;
      auto result = op.call(input, folded, added, paddings, strides, dilations, groups, relu && last ? "relu" : "none",
                            Scalars(), std::nullopt);
      if (!last) {
        result.add_(residual->to(kind));
        if (relu) {
          result.relu_();
        }
      }
      *y = new at::Tensor(std::move(result));
      return;
    }
    static const auto op = find<PointwiseBinary>("mkldnn::_convolution_pointwise", "binary");
    const auto after = relu ? std::optional<std::string_view>("relu") : std::nullopt;
    *y = new at::Tensor(op.call(input, residual->to(kind).contiguous(kFormat), folded, added, paddings, strides, dilations,
                                groups, "add", at::Scalar(1), after, Scalars(), std::nullopt));
  });
}
}

// c10d's Reducer: gradients averaged over processes in buckets, while the backward pass goes on.

#include "boundary.h"
#include "handles.h"

#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

using mp::GroupHandle;
using mp::guarded;

namespace mp {

struct ReducerHandle {
  std::shared_ptr<c10d::Reducer> reducer;
  // The reducer tells it what it finds, and does not ask whether it is there.
  std::shared_ptr<c10d::Logger> logger;
};

}  // namespace mp

using mp::ReducerHandle;

namespace {

// libtorch warns of what costs something and cannot be otherwise here: to look for parameters that the loss does not reach where
// all are reached, which only the loss says, and gradients of 1x1 convolutions whose strides along axes of one differ from ours.
struct Silence : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

// libtorch 2.13's Reducer has an argument more at its end, which has a default.
std::shared_ptr<c10d::Reducer> reducer(const GroupHandle& group, const std::vector<at::Tensor>& parameters,
                                       int64_t first_bytes, int64_t bytes) {
  const std::vector<bool> sparse(parameters.size(), false);
  // Gradients come in about the reverse order of the parameters. The first bucket is small, so that sums begin early.
  std::vector<at::Tensor> reversed(parameters.rbegin(), parameters.rend());
  auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
      reversed, {static_cast<size_t>(first_bytes), static_cast<size_t>(bytes)}, sparse);
  for (auto& bucket : buckets) {
    for (auto& index : bucket) {
      index = parameters.size() - 1 - index;
    }
  }
  const bool find_unused_parameters = true;
  const bool gradient_as_bucket_view = false;
  const bool skip_all_reduce_unused_params = false;
  const bool use_python_reducer = false;
  return std::make_shared<c10d::Reducer>(
      parameters, std::move(buckets), group.group, sparse, bytes, find_unused_parameters, gradient_as_bucket_view,
      std::unordered_map<size_t, std::string>(), first_bytes, skip_all_reduce_unused_params, use_python_reducer,
      std::vector<int64_t>());
}

}  // namespace

extern "C" const char* mp_reducer_new(GroupHandle* group, at::Tensor* const* parameters, size_t count, int64_t first_bytes,
                                      int64_t bytes, ReducerHandle** out) {
  return guarded([&] {
    std::vector<at::Tensor> all;
    for (size_t at = 0; at < count; ++at) {
      all.push_back(*parameters[at]);
    }
    auto handle = std::make_unique<ReducerHandle>();
    handle->reducer = reducer(*group, all, first_bytes, bytes);
    handle->logger = std::make_shared<c10d::Logger>(handle->reducer);
    handle->reducer->set_logger(handle->logger);
    *out = handle.release();
  });
}

// Lets the next backward pass, which begins at `loss`, average all gradients before it ends.
extern "C" const char* mp_reducer_prepare(ReducerHandle* handle, at::Tensor* loss) {
  return guarded([&] {
    Silence silence;
    const c10::WarningUtils::WarningHandlerGuard guard(&silence);
    handle->reducer->prepare_for_forward();
    handle->reducer->prepare_for_backward({*loss});
  });
}

// The backward pass from `loss`.
extern "C" const char* mp_backward(at::Tensor* loss) {
  return guarded([&] {
    Silence silence;
    const c10::WarningUtils::WarningHandlerGuard guard(&silence);
    loss->backward();
  });
}

extern "C" void mp_reducer_free(ReducerHandle* handle) {
  // It may throw where a backward pass was cut off; the process is about to end then.
  guarded([&] { delete handle; });
}

// Optimiser steps over a whole list of parameters: one pass over memory each, threads over the numbers of all of them.
//
// A network has some hundred parameters, most of them small: composed of tensor operations, a step costs several calls and
// temporaries for each. Here the list is cut into tiles of equal size, whichever tensors they lie in, and every tile is
// read and written once. Which tile a number lies in does not depend on the threads, and neither does any sum.

#include "boundary.h"
#include "fused_steps.h"
#include "parallel.h"
#include "parameters.h"
#include "step_kernels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace {

// Numbers of a tile.
constexpr int64_t kTile = 2048;
// Tiles that go to a thread together.
constexpr int64_t kGroup = 16;

using mp::Job;
using mp::Parameter;

bool same_layout(const at::Tensor& a, const at::Tensor& b) {
  return a.layout() == at::kStrided && a.is_cpu() && a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
}

// Whether its numbers, those of its gradient and of its memory can be read side by side as one row each.
bool is_row(const Parameter& parameter, const at::Tensor& gradient) {
  const auto& tensor = parameter.tensor;
  const auto kind = tensor.scalar_type();
  if (!tensor.is_cpu() || tensor.layout() != at::kStrided || !tensor.is_non_overlapping_and_dense() ||
      (kind != at::kFloat && kind != at::kDouble) || !same_layout(gradient, tensor)) {
    return false;
  }
  return std::all_of(parameter.memory.begin(), parameter.memory.begin() + parameter.memories,
                     [&](const at::Tensor& memory) { return same_layout(memory, tensor); });
}

// Makes a job of every parameter with a gradient; those that are no row, or remember less than `memories` tensors, are
// marked in `left` instead. True: none is.
bool gather(mp_parameters& list, size_t memories, bool* left) {
  list.jobs.clear();
  list.tiles = 0;
  bool all = true;
  for (size_t index = 0; index < list.parameters.size(); ++index) {
    const auto& parameter = list.parameters[index];
    const auto& gradient = parameter.tensor.grad();
    const bool is_job = !list.leave_all && gradient.defined() && parameter.memories >= memories && is_row(parameter, gradient);
    left[index] = gradient.defined() && !is_job;
    all = all && !left[index];
    if (is_job) {
      const auto pointer = [](const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr() : nullptr; };
      const int64_t count = parameter.tensor.numel();
      list.jobs.push_back({parameter.tensor.scalar_type(), pointer(parameter.tensor), pointer(gradient),
                           {pointer(parameter.memory[0]), pointer(parameter.memory[1])}, parameter.decays, count,
                           list.tiles});
      list.tiles += (count + kTile - 1) / kTile;
    }
  }
  return all;
}

// Calls `body(job, offset, count, tile)` for every tile.
template <typename Body>
void for_each_tile(const mp_parameters& list, const Body& body) {
  mp::parallel_for((list.tiles + kGroup - 1) / kGroup, [&](int64_t group) {
    const int64_t begin = group * kGroup;
    const int64_t end = std::min(begin + kGroup, list.tiles);
    // The last job that starts at or before the first tile; empty tensors before it have no tiles.
    auto job = std::upper_bound(list.jobs.begin(), list.jobs.end(), begin,
                                [](int64_t tile, const Job& other) { return tile < other.first_tile; }) - 1;
    for (int64_t tile = begin; tile < end; ++tile) {
      while (tile >= job->first_tile + (job->count + kTile - 1) / kTile) {
        ++job;
      }
      const int64_t offset = (tile - job->first_tile) * kTile;
      body(*job, offset, std::min(kTile, job->count - offset), tile);
    }
  });
}

// Calls `body` with a null pointer of the job's number type.
template <typename Body>
void with_number(const Job& job, const Body& body) {
  if (job.kind == at::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    body(static_cast<double*>(nullptr));
  }
}

template <typename Number>
Number* row(void* numbers, int64_t offset, Number*) {
  return numbers == nullptr ? nullptr : static_cast<Number*>(numbers) + offset;
}

// Autograd must know that values which it may have saved are no longer those.
void bump_versions(const mp_parameters& list, const bool* left) {
  for (size_t index = 0; index < list.parameters.size(); ++index) {
    const auto& tensor = list.parameters[index].tensor;
    if (!left[index] && tensor.grad().defined()) {
      tensor.unsafeGetTensorImpl()->bump_version();
    }
  }
}

void sgd(mp_parameters& list, double rate, double momentum, double decay, bool nesterov, bool* left) {
  gather(list, 0, left);
  for_each_tile(list, [&](const Job& job, int64_t offset, int64_t count, int64_t) {
    with_number(job, [&](auto* number) {
      using Number = std::remove_pointer_t<decltype(number)>;
      const mp::Sgd<Number> rule = {static_cast<Number>(rate), static_cast<Number>(momentum),
                                    static_cast<Number>(job.decays ? decay : 0.0), nesterov};
      mp::sgd_step(row(job.numbers, offset, number), row(job.gradient, offset, number),
                   row(job.memory[0], offset, number), rule, count);
    });
  });
  bump_versions(list, left);
  mp::fused_sgd(list, rate, momentum, decay, nesterov, left);
}

void adamw(mp_parameters& list, double rate, double beta1, double beta2, double eps, double decay, int64_t step,
           bool* left) {
  gather(list, 2, left);
  const double mean_rate = rate / (1.0 - std::pow(beta1, static_cast<double>(step)));
  const double square_scale = 1.0 / std::sqrt(1.0 - std::pow(beta2, static_cast<double>(step)));
  for_each_tile(list, [&](const Job& job, int64_t offset, int64_t count, int64_t) {
    with_number(job, [&](auto* number) {
      using Number = std::remove_pointer_t<decltype(number)>;
      const mp::AdamW<Number> rule = {
          static_cast<Number>(job.decays ? 1.0 - rate * decay : 1.0), static_cast<Number>(1.0 - beta1),
          static_cast<Number>(beta2), static_cast<Number>(1.0 - beta2), static_cast<Number>(square_scale),
          static_cast<Number>(eps), static_cast<Number>(mean_rate)};
      mp::adamw_step(row(job.numbers, offset, number), row(job.gradient, offset, number),
                     row(job.memory[0], offset, number), row(job.memory[1], offset, number), rule, count);
    });
  });
  bump_versions(list, left);
  mp::fused_adamw(list, {rate, beta1, beta2, eps, decay, step}, left);
}

double squared_norm(mp_parameters& list) {
  list.sums.resize(static_cast<size_t>(list.tiles));
  for_each_tile(list, [&](const Job& job, int64_t offset, int64_t count, int64_t tile) {
    with_number(job, [&](auto* number) {
      list.sums[static_cast<size_t>(tile)] = mp::sum_of_squares(row(job.gradient, offset, number), count);
    });
  });
  double total = 0;
  for (const double sum : list.sums) {
    total += sum;
  }
  return total;
}

void scale(const mp_parameters& list, double factor) {
  for_each_tile(list, [&](const Job& job, int64_t offset, int64_t count, int64_t) {
    with_number(job, [&](auto* number) {
      using Number = std::remove_pointer_t<decltype(number)>;
      mp::scale(row(job.gradient, offset, number), static_cast<Number>(factor), count);
    });
  });
}

}  // namespace

// Every function returns null, where it returns a text, or what went wrong, valid until the next call on this thread. `left` has
// room for a flag for each parameter.
extern "C" {

mp_parameters* mp_parameters_new() { return new mp_parameters; }

void mp_parameters_free(mp_parameters* list) { delete list; }

// Shares the tensors with the caller.
const char* mp_parameters_push(mp_parameters* list, const at::Tensor* tensor, bool decays,
                               const at::Tensor* const* memory, size_t memories) {
  return mp::guarded("mp::parameters", [&] {
    TORCH_CHECK(memories <= mp::kMaxMemory, "at most ", mp::kMaxMemory, " tensors of memory expected, not ", memories);
    Parameter parameter = {*tensor, {}, memories, decays};
    for (size_t index = 0; index < memories; ++index) {
      parameter.memory[index] = *memory[index];
    }
    list->parameters.push_back(std::move(parameter));
  });
}

// Marks in `left` the parameters with a gradient that are left to the caller. The memory is the velocity; without one there
// is no momentum.
const char* mp_sgd(mp_parameters* list, double rate, double momentum, double decay, bool nesterov, bool* left) {
  return mp::guarded("mp::sgd", [&] { sgd(*list, rate, momentum, decay, nesterov, left); });
}

// The same; the memory is the mean and the mean square. `step` counts from 1.
const char* mp_adamw(mp_parameters* list, double rate, double beta1, double beta2, double eps, double decay,
                     int64_t step, bool* left) {
  return mp::guarded("mp::adamw", [&] { adamw(*list, rate, beta1, beta2, eps, decay, step, left); });
}

// Scales the gradients to a joint norm of at most `max_norm` and writes the norm before, or a negative number where some
// gradient is left to the caller: then nothing is changed.
const char* mp_clip(mp_parameters* list, double max_norm, double* norm, bool* left) {
  return mp::guarded("mp::clip_gradients", [&] {
    *norm = -1.0;
    if (gather(*list, 0, left)) {
      *norm = std::sqrt(squared_norm(*list));
      // As PyTorch has it. A norm that is no number makes every gradient so.
      const double factor = max_norm / (*norm + 1e-6);
      if (!(factor >= 1.0)) {
        scale(*list, factor);
      }
    }
  });
}

// The same for gradients that are left, by operations of libtorch over all of them: `norm` is a scalar where they are, owned by
// the caller, and nothing waits for it. Null where there is no gradient.
const char* mp_clip_left(mp_parameters* list, double max_norm, at::Tensor** norm) {
  return mp::guarded("mp::clip_gradients", [&] {
    const auto found = mp::clip(*list, max_norm);
    *norm = found.defined() ? new at::Tensor(found) : nullptr;
  });
}

// Multiplies the gradients by `factor`, a scalar where they are, and says whether a number of theirs was not finite; waits for it.
const char* mp_unscale(mp_parameters* list, const at::Tensor* factor, bool* finite) {
  return mp::guarded("mp::unscale_gradients", [&] { *finite = mp::unscale(*list, *factor); });
}

// Holds on to the gradients that are there, so that `mp_restore_gradients` can give them back after they were dropped.
const char* mp_keep_gradients(mp_parameters* list) {
  return mp::guarded("mp::keep_gradients", [&] {
    list->kept.clear();
    for (const auto& parameter : list->parameters) {
      list->kept.push_back(parameter.tensor.grad());
    }
  });
}

const char* mp_restore_gradients(mp_parameters* list) {
  return mp::guarded("mp::restore_gradients", [&] {
    for (size_t index = 0; index < list->kept.size(); ++index) {
      list->parameters[index].tensor.mutable_grad() = list->kept[index];
    }
  });
}

// Lets libtorch's own operations make every step, also of parameters that lie on the CPU, so that a test sees them there.
void mp_parameters_leave_all(mp_parameters* list) { list->leave_all = true; }

// Drops the gradients: the next backward pass hands its own over, where it would add them to zeros.
const char* mp_drop_gradients(mp_parameters* list) {
  return mp::guarded("mp::drop_gradients", [&] {
    for (const auto& parameter : list->parameters) {
      parameter.tensor.mutable_grad().reset();
    }
  });
}
}

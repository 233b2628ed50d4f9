// c10d's process groups. `ProcessGroupGloo.hpp` is shipped with libtorch, and the headers of gloo that it includes are not:
// those in stand_in/ declare what it names. Nothing of gloo is called from here, and c10d holds it by pointers only.

#include "boundary.h"
#include "handles.h"
#include "nccl.h"

#define USE_C10D_GLOO
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

using mp::GroupHandle;
using mp::guarded;
using mp::StoreHandle;
using mp::WorkHandle;

namespace {

std::vector<at::Tensor> borrowed(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> result;
  for (size_t at = 0; at < count; ++at) {
    result.push_back(*tensors[at]);
  }
  return result;
}

WorkHandle* sum(GroupHandle& group, std::vector<at::Tensor> tensors) {
  auto handle = std::make_unique<WorkHandle>();
  handle->tensors = std::move(tensors);
  c10d::AllreduceOptions options;
  options.timeout = group.timeout;
  handle->work = group.group->allreduce(handle->tensors, options);
  return handle.release();
}

// The sum over all processes, whose gradient is the sum over all processes of the gradients.
struct AllSum : torch::autograd::Function<AllSum> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, int64_t group) {
    context->saved_data["group"] = group;
    return summed(x, group);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    return {summed(gradients[0], context->saved_data["group"].toInt()), at::Tensor()};
  }

 private:
  static at::Tensor summed(const at::Tensor& x, int64_t group) {
    auto result = x.detach().clone(at::MemoryFormat::Contiguous);
    const std::unique_ptr<WorkHandle> work(sum(*reinterpret_cast<GroupHandle*>(group), {result}));
    work->work->wait();
    return result;
  }
};

}  // namespace

extern "C" bool mp_has_nccl() {
  return mp::has_nccl();
}

// `interface` and `address` may be empty: then the address of this machine's name is listened on.
extern "C" const char* mp_group_open(StoreHandle* store, const char* prefix, int rank, int world, bool cuda,
                                     const char* interface, const char* address, int64_t timeout_ms, GroupHandle** out) {
  return guarded([&] {
    using Gloo = c10d::ProcessGroupGloo;
    auto handle = std::make_unique<GroupHandle>();
    handle->timeout = std::chrono::milliseconds(timeout_ms);
    handle->group = c10::make_intrusive<c10d::ProcessGroup>(rank, world);
    handle->group->setGroupName(prefix);
    auto own = c10::make_intrusive<c10d::PrefixStore>(prefix, store->store);

    auto options = Gloo::Options::create(handle->timeout);
    const bool by_interface = *interface != 0;
    options->devices.push_back(by_interface      ? Gloo::createDeviceForInterface(interface)
                               : *address != 0 ? Gloo::createDeviceForHostname(address)
                                                 : Gloo::createDefaultDevice());
    auto gloo = c10::make_intrusive<Gloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", own), rank, world, options);
    handle->group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
    handle->group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gloo);
    if (cuda) {
      mp::add_nccl(*handle, c10::make_intrusive<c10d::PrefixStore>("nccl", own));
    }
    *out = handle.release();
  });
}

extern "C" void mp_group_free(GroupHandle* group) {
  delete group;
}

// Starts to replace the tensor by its sum over all processes.
extern "C" const char* mp_group_sum(GroupHandle* group, at::Tensor* tensor, WorkHandle** out) {
  return guarded([&] { *out = sum(*group, {*tensor}); });
}

extern "C" const char* mp_group_broadcast(GroupHandle* group, at::Tensor* tensor, int root, WorkHandle** out) {
  return guarded([&] {
    auto handle = std::make_unique<WorkHandle>();
    handle->tensors = {*tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    options.timeout = group->timeout;
    handle->work = group->group->broadcast(handle->tensors, options);
    *out = handle.release();
  });
}

// Writes the tensor of each process to the place of its rank.
extern "C" const char* mp_group_gather(GroupHandle* group, at::Tensor* tensor, at::Tensor* const* places, size_t count,
                                       WorkHandle** out) {
  return guarded([&] {
    auto handle = std::make_unique<WorkHandle>();
    handle->tensors = {*tensor};
    std::vector<std::vector<at::Tensor>> all = {borrowed(places, count)};
    c10d::AllgatherOptions options;
    options.timeout = group->timeout;
    handle->work = group->group->allgather(all, handle->tensors, options);
    *out = handle.release();
  });
}

extern "C" const char* mp_work_wait(WorkHandle* work) {
  return guarded([&] { work->work->wait(); });
}

extern "C" void mp_work_free(WorkHandle* work) {
  delete work;
}

// A new tensor, the sum over all processes, through which gradients flow. The group must live until they have.
extern "C" const char* mp_group_sum_through(GroupHandle* group, at::Tensor* tensor, at::Tensor** out) {
  return guarded([&] { *out = new at::Tensor(AllSum::apply(*tensor, reinterpret_cast<int64_t>(group))); });
}

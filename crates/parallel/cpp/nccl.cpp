// c10d's process group on NCCL. Compiled with MP_NCCL where libtorch is a build for CUDA and the headers are found.

#include "nccl.h"

#ifdef MP_NCCL

#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

namespace mp {

bool has_nccl() {
  return true;
}

void add_nccl(GroupHandle& group, const c10::intrusive_ptr<c10d::Store>& store) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = group.timeout;
  auto nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, group.group->getRank(), group.group->getSize(), options);
  group.group->setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, nccl);
}

}  // namespace mp

#else

namespace mp {

bool has_nccl() {
  return false;
}

void add_nccl(GroupHandle&, const c10::intrusive_ptr<c10d::Store>&) {
  TORCH_CHECK(false, "this build has no NCCL: build it against a libtorch for CUDA, with NCCL's header at hand");
}

}  // namespace mp

#endif

// What Rust holds.

#pragma once

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace mp {

struct StoreHandle {
  c10::intrusive_ptr<c10d::Store> store;
};

// A group whose tensors on the CPU go by Gloo, and those on a GPU, where there is one, by NCCL.
struct GroupHandle {
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  std::chrono::milliseconds timeout;
};

struct WorkHandle {
  c10::intrusive_ptr<c10d::Work> work;
  // Alive, and in one place, until the work is done.
  std::vector<at::Tensor> tensors;
};

}  // namespace mp

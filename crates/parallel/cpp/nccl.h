// NCCL, where this build has it.

#pragma once

#include "handles.h"

namespace mp {

// Whether there is NCCL in this build.
bool has_nccl();

// Lets the group's tensors on GPUs go by NCCL.
void add_nccl(GroupHandle& group, const c10::intrusive_ptr<c10d::Store>& store);

}  // namespace mp

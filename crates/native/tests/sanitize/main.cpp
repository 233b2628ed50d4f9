// The kernels on odd shapes, for a sanitizer to watch: built and run by ../sanitize.rs. Ends with 0 where all agree with
// their definitions. `overrun`, `overflow` and `race` commit what a sanitizer must find, to show that one watches.

#include "../../cpp/step_kernels.h"
#include "common.h"

#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace {

void check_all() {
  check_conv();
  check_direct_conv();
  check_gate();
  check_mix();
  check_norm();
  check_pool();
  check_step();
}

template <typename Body>
void in_threads(int count, const Body& body) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < count; ++thread) {
    threads.emplace_back(body);
  }
  for (auto& thread : threads) {
    thread.join();
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  Row<float> row(64);
  if (what == "overrun") {
    mp::scale(row.data(), 2.0f, row.size() + 1);
  } else if (what == "overflow") {
    std::printf("%d\n", std::numeric_limits<int>::max() - 1 + count);
  } else if (what == "race") {
    in_threads(2, [&] { mp::scale(row.data(), 2.0f, row.size()); });
  } else {
    check_all();
    // Nothing that the kernels touch may be shared between calls.
    in_threads(2, check_all);
    std::puts("all kernels agree with their definitions");
  }
}

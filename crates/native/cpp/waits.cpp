// Threads for the sake of their number: see waits.rs.

#include <dlfcn.h>

#include <algorithm>

namespace {

template <typename Function>
Function* find(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

void nothing(void*) {}

}  // namespace

// Opens a team on the calling thread that, with the `others` threads of another team, is one thread more than there are
// processors. The team's threads sleep until the calling thread ends, and end with it.
extern "C" bool mp_exceed_processors(int others) {
  // LLVM's and Intel's runtimes have GNU's entry points too, but wait by rules of their own.
  if (find<void(int)>("kmp_set_blocktime") != nullptr) return false;
  auto* const processors = find<int()>("omp_get_num_procs");
  auto* const parallel = find<void(void (*)(void*), void*, unsigned, unsigned)>("GOMP_parallel");
  if (processors == nullptr || parallel == nullptr) return false;
  // The calling thread is counted already, as the first of the other team is.
  const int team = std::max(2, processors() - others + 2);
  // The runtime ends the process where it cannot start a thread, so this does not ask for many.
  if (team > 64) return false;
  parallel(nothing, nullptr, static_cast<unsigned>(team), 0);
  return true;
}

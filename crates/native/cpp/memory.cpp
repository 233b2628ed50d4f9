// How the C allocator treats the maps of a network: see memory.rs.

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>

#include <climits>
#endif

extern "C" bool mp_keep_freed_memory() {
#if defined(__GLIBC__)
  // The largest threshold that glibc takes on 64-bit machines.
  const int largest = 32 * 1024 * 1024;
  // Each of the three also turns the thresholds' own adaptation off.
  return mallopt(M_MMAP_THRESHOLD, largest) == 1 && mallopt(M_TRIM_THRESHOLD, INT_MAX) == 1 &&
         mallopt(M_TOP_PAD, 8 * largest) == 1;
#else
  return false;
#endif
}

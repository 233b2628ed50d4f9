// How the work of a kernel is divided into blocks and threads. Free of libtorch and CUDA.

#pragma once

#include <algorithm>
#include <cstdint>

namespace mp {

struct Extent {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

struct Geometry {
  Extent grid;
  Extent block;
};

// Of a matrix of rows of `columns` vectors of channels: a block has at most 32 of them across. See cuda/norm.cu.
struct RowsGeometry {
  static constexpr int kMostAcross = 32;
  // Threads of a block that sums, and of one that does not.
  static constexpr int kSumThreads = 512;
  static constexpr int kThreads = 256;

  int64_t rows;
  int columns;
  int multiprocessors;

  // One block a multiprocessor: its sums are few then.
  Geometry sums() const { return of(kSumThreads, 1, 2); }

  Geometry each() const { return of(kThreads, 8, 2); }

 private:
  // `least` rows at least for a thread.
  Geometry of(int threads, int blocks_each, int least) const {
    const int across = std::min(columns, kMostAcross), down = threads / across;
    const int sideways = (columns + across - 1) / across;
    const int64_t enough = (rows + int64_t{down} * least - 1) / (int64_t{down} * least);
    const int64_t most = std::max(multiprocessors * blocks_each / sideways, 1);
    return {{static_cast<unsigned>(std::clamp<int64_t>(enough, 1, most)), static_cast<unsigned>(sideways)},
            {static_cast<unsigned>(across), static_cast<unsigned>(down)}};
  }
};

// Of samples of `vectors` each, one or more blocks a sample. See cuda/mix.cu.
struct SamplesGeometry {
  static constexpr int kThreads = 256;

  int64_t samples;
  int64_t vectors;
  int multiprocessors;

  // As many blocks as keep every thread at two vectors or more.
  Geometry each() const { return of((vectors + 2 * threads() - 1) / (2 * threads())); }

  // No more blocks than keep the device busy: each leaves sums behind.
  Geometry sums() const {
    const int64_t busy = (int64_t{4} * multiprocessors + samples - 1) / std::max<int64_t>(samples, 1);
    return of(std::min(busy, (vectors + 4 * threads() - 1) / (4 * threads())));
  }

 private:
  // Whole warps, and no more than there is work for.
  int64_t threads() const { return std::clamp<int64_t>((vectors + 31) / 32 * 32, 32, kThreads); }

  Geometry of(int64_t parts) const {
    return {{static_cast<unsigned>(samples), static_cast<unsigned>(std::clamp<int64_t>(parts, 1, 65535))},
            {static_cast<unsigned>(threads())}};
  }
};

// Of samples whose gates and mixing one block works on. See cuda/route.cu.
struct RouteGeometry {
  static constexpr int kThreads = 512;
  // Shared memory that a launch may ask for beside what the kernels have anyway.
  static constexpr int64_t kMostRoom = 28 << 10;

  int64_t samples;
  int sources;
  int targets;
  int64_t channels;
  int64_t hidden;

  Geometry each() const { return {{static_cast<unsigned>(samples)}, {kThreads}}; }

  // Bytes: features, hidden features, and three numbers of each pair.
  int64_t room() const {
    return static_cast<int64_t>(sizeof(float)) * (sources * (channels + hidden) + int64_t{3} * sources * targets);
  }
};

}  // namespace mp

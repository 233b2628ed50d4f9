#include "direct_conv.h"

#if defined(__x86_64__) && defined(__GNUC__)
// The header's own values that are undefined on purpose, in GCC 12.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#define MP_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#endif

namespace mp {
namespace {

// Below this many channels a tap is a row of the kernel in a padded copy, and not a pixel: few numbers at a time would leave
// more to do around the sums than in them.
constexpr int64_t kFewChannels = 8;
// Numbers of the input that tiles go over before the next block of filters: where the weights of all blocks stay in the second
// cache, as many as the first one holds together with the result; else so many that the input stays in the second.
constexpr int64_t kNear = 1 << 14, kFarther = 1 << 18;
constexpr int64_t kFewWeights = 1 << 18;
// Weights that a block's tiles read before they come to the next ones, which are fetched into the second cache meanwhile.
constexpr int64_t kAtOnce = 1 << 16;
// Steps ahead for which a block's first tile fetches its own weights.
constexpr int64_t kAhead = 64;
constexpr int64_t kMostVectors = 4;

// Rows of a tile beside so many vectors: 24 sums leave registers for the factors. Where a map has so few pixels that many a row
// of the last tile would be in vain, one row less.
int rows_beside(int64_t vectors, int64_t pixels) {
  if (vectors <= 2) return 12;
  if (vectors == 3) return 8;
  const auto computed = [&](int64_t rows) { return (pixels + rows - 1) / rows * rows; };
  return computed(5) * 20 < computed(6) * 19 ? 5 : 6;
}

}  // namespace

DirectPlan::DirectPlan(const DirectShape& shape) : shape_(shape), padded_(shape.channels < kFewChannels) {
  const auto [rows, columns] = shape.kernel;
  const int64_t width = padded_ ? padded_width() : shape.size[1];
  run_ = shape.channels * (padded_ ? columns : 1);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < (padded_ ? 1 : columns); ++column) {
      steps_.push_back((row * width + column) * shape.channels);
    }
  }
  vectors_ = (shape.filters + kLanes - 1) / kLanes;
  // As even as can be: blocks of one or two sizes.
  const int64_t blocks = (vectors_ + kMostVectors - 1) / kMostVectors;
  for (int64_t block = 0, first = 0; block < blocks; ++block) {
    const int64_t vectors = (vectors_ - first + blocks - block - 1) / (blocks - block);
    blocks_.push_back({first, static_cast<int>(vectors)});
    first += vectors;
  }
  const int64_t pixels = shape.out(0) * shape.out(1);
  rows_ = rows_beside(blocks_.front().vectors, pixels);
  tiles_ = (pixels + rows_ - 1) / rows_;
  present_.assign(tiles_ * taps(), 0);
  for (int64_t t = 0; t < tiles_; ++t) {
    Tile tile{};
    tile.count = static_cast<int32_t>(std::min<int64_t>(rows_, pixels - t * rows_));
    for (int row = 0; row < rows_; ++row) {
      // Rows beyond the last pixel repeat it.
      const int64_t pixel = t * rows_ + std::min(row, tile.count - 1);
      const int64_t up = padded_ ? 0 : shape.padding[0], left = padded_ ? 0 : shape.padding[1];
      const int64_t y = pixel / shape.out(1) * shape.stride[0] - up, x = pixel % shape.out(1) * shape.stride[1] - left;
      tile.from[row] = static_cast<int32_t>((y * width + x) * shape.channels);
      for (int64_t tap = 0; tap < taps(); ++tap) {
        const int64_t at_y = y + tap / columns, at_x = x + tap % columns;
        const bool inside = at_y >= 0 && at_y < shape.size[0] && at_x >= 0 && at_x < shape.size[1];
        present_[t * taps() + tap] |= (padded_ || inside) << row;
      }
    }
    tiles_of_one_.push_back(tile);
  }
  const int64_t read = std::max<int64_t>(1, shape.size[0] * shape.size[1] * shape.channels / std::max<int64_t>(1, tiles_));
  chunk_ = std::max<int64_t>(1, (packed_size() <= kFewWeights ? kNear : kFarther) / read);
  taps_at_once_ = std::max<int64_t>(1, kAtOnce / (run_ * blocks_.front().vectors * kLanes));
  zeros_.assign(run_, 0.0f);
}

int64_t DirectPlan::packed_size() const { return vectors_ * kLanes * taps() * run_; }

void DirectPlan::pack(const float* weights, float* packed) const {
  const int64_t depth = taps() * run_;
  for (const auto& block : blocks_) {
    float* to = packed + block.first * kLanes * depth;
    for (int64_t at = 0; at < depth; ++at) {
      for (int64_t lane = 0; lane < block.vectors * kLanes; ++lane, ++to) {
        const int64_t filter = block.first * kLanes + lane;
        *to = filter < shape_.filters ? weights[filter * depth + at] : 0.0f;
      }
    }
  }
}

void DirectPlan::pad(const float* image, float* padded) const {
  const int64_t row = shape_.size[1] * shape_.channels, edge = shape_.padding[1] * shape_.channels;
  const int64_t wide = padded_width() * shape_.channels;
  for (int64_t y = -shape_.padding[0]; y < shape_.size[0] + shape_.padding[0]; ++y, padded += wide) {
    if (y < 0 || y >= shape_.size[0]) {
      std::fill_n(padded, wide, 0.0f);
      continue;
    }
    std::fill_n(padded, edge, 0.0f);
    std::copy_n(image + y * row, row, padded + edge);
    std::fill_n(padded + edge + row, edge, 0.0f);
  }
}

#ifdef MP_AVX512

bool DirectPlan::supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq");
}

template <int kRows, int kVectors>
MP_AVX512 void DirectPlan::tile(const Work& work) const {
  const int64_t filters = shape_.filters;
  float* const y = work.y;
  const auto lanes_of = [&](int v) { return static_cast<__mmask16>(v + 1 == kVectors ? work.last : 0xffff); };
  __m512 sums[kRows][kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 12
    for (int row = 0; row < kRows; ++row) {
      if (work.offset != nullptr) {
        sums[row][v] = _mm512_loadu_ps(work.offset + v * kLanes);
      } else if (row < work.tile->count) {
        sums[row][v] = _mm512_maskz_loadu_ps(lanes_of(v), y + row * filters + v * kLanes);
      } else {
        sums[row][v] = _mm512_setzero_ps();
      }
    }
  }
  // Addresses of the tile's pixels, and of zeros: eight at a time.
  constexpr int kHalves = (kRows + 7) / 8;
  alignas(64) __m512i pixels[kHalves];
  const __m512i first = _mm512_set1_epi64(reinterpret_cast<int64_t>(work.x));
  for (int half = 0; half < kHalves; ++half) {
    const auto lanes = static_cast<__mmask8>(kRows - half * 8 >= 8 ? 0xff : (1 << (kRows - half * 8)) - 1);
    const __m512i from = _mm512_cvtepi32_epi64(_mm256_maskz_loadu_epi32(lanes, work.tile->from + half * 8));
    pixels[half] = _mm512_add_epi64(first, _mm512_slli_epi64(from, 2));
  }
  // What is needed once a tap stays in memory: registers are for the sums.
  asm volatile("" : "+m"(pixels) : : "memory");
  const int64_t run = run_, pace = work.pace;
  const float* weights = work.weights;
  const char* ahead = work.ahead;
  for (int64_t tap = work.first_tap; tap < work.last_tap; ++tap) {
    alignas(64) const float* at[kHalves * 8];
    const __m512i zeros = _mm512_set1_epi64(reinterpret_cast<int64_t>(zeros_.data()));
    const __m512i step = _mm512_set1_epi64(steps_[tap] * static_cast<int64_t>(sizeof(float)));
    for (int half = 0; half < kHalves; ++half) {
      const auto here = static_cast<__mmask8>(work.present[tap] >> (half * 8));
      _mm512_store_si512(at + half * 8, _mm512_mask_add_epi64(zeros, here, pixels[half], step));
    }
    asm volatile("" : "+m"(at) : : "memory");
    const float* from[kRows];
#pragma GCC unroll 12
    for (int row = 0; row < kRows; ++row) from[row] = at[row];
    for (int64_t c = 0; c < run; ++c, weights += kVectors * kLanes, ahead += pace) {
      __m512 factors[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) factors[v] = _mm512_loadu_ps(weights + v * kLanes);
      _mm_prefetch(ahead, _MM_HINT_T1);
#pragma GCC unroll 12
      for (int row = 0; row < kRows; ++row) {
        const __m512 value = _mm512_set1_ps(from[row][c]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sums[row][v] = _mm512_fmadd_ps(value, factors[v], sums[row][v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int row = 0; row < kRows; ++row) {
    if (row < work.tile->count) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        __m512 sum = sums[row][v];
        const int64_t place = row * filters + v * kLanes;
        if (work.residual != nullptr) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes_of(v), work.residual + place));
        // In this order a NaN is kept.
        if (work.relu) sum = _mm512_max_ps(_mm512_setzero_ps(), sum);
        _mm512_mask_storeu_ps(y + place, lanes_of(v), sum);
      }
    }
  }
}

void DirectPlan::run(const float* x, int64_t images, const float* packed, const float* offset, const float* residual,
                     bool relu, float* y, int64_t begin, int64_t end) const {
  const int64_t image_size = padded_ ? padded_size() : shape_.size[0] * shape_.size[1] * shape_.channels;
  const int64_t result = shape_.out(0) * shape_.out(1) * shape_.filters;
  const int64_t all = images * tiles_;
  // A chunk's units lie side by side, within it those of a block, within it those of a tile: one for each of its vectors,
  // of which the first stands for all.
  for (int64_t chunk = begin / (chunk_ * vectors_); chunk * chunk_ * vectors_ < end; ++chunk) {
    const int64_t tiles = std::min(chunk_, all - chunk * chunk_);
    for (const auto& block : blocks_) {
      const int64_t start = chunk * chunk_ * vectors_ + block.first * tiles;
      const auto within = [&](int64_t unit) {
        return std::clamp<int64_t>((std::max(unit, start) - start + block.vectors - 1) / block.vectors, 0, tiles);
      };
      const int64_t from = within(begin), to = within(end);
      const bool tail = (block.first + block.vectors) * kLanes > shape_.filters;
      const int64_t width = block.vectors * kLanes;
      const float* weights = packed + block.first * kLanes * taps() * run_;
      for (int64_t tap = 0; tap < taps() && from < to; tap += taps_at_once_) {
        const int64_t last_tap = std::min(tap + taps_at_once_, taps());
        const int64_t size = (last_tap - tap) * run_ * width, bytes = size * static_cast<int64_t>(sizeof(float));
        for (int64_t number = from; number < to; ++number) {
          const int64_t image = (chunk * chunk_ + number) / tiles_, t = (chunk * chunk_ + number) % tiles_;
          const int64_t place = image * result + t * rows_ * shape_.filters + block.first * kLanes;
          const bool finishes = last_tap == taps();
          Work work{};
          work.tile = &tiles_of_one_[t];
          work.present = present_.data() + t * taps();
          work.first_tap = tap;
          work.last_tap = last_tap;
          work.x = x + image * image_size;
          work.weights = weights;
          if (number == from) {
            work.ahead = reinterpret_cast<const char*>(weights + kAhead * width);
            work.pace = width * static_cast<int64_t>(sizeof(float));
          } else {
            work.ahead = reinterpret_cast<const char*>(weights + size) + bytes * number / tiles;
            work.pace = width * static_cast<int64_t>(sizeof(float)) / tiles;
          }
          work.offset = tap == 0 ? offset + block.first * kLanes : nullptr;
          work.residual = residual == nullptr || !finishes ? nullptr : residual + place;
          work.relu = relu && finishes;
          work.y = y + place;
          work.last = tail ? (1 << shape_.filters % kLanes) - 1 : 0xffff;
          switch (rows_ * 8 + block.vectors) {
            case 12 * 8 + 1: tile<12, 1>(work); break;
            case 12 * 8 + 2: tile<12, 2>(work); break;
            case 8 * 8 + 2: tile<8, 2>(work); break;
            case 8 * 8 + 3: tile<8, 3>(work); break;
            case 5 * 8 + 3: tile<5, 3>(work); break;
            case 5 * 8 + 4: tile<5, 4>(work); break;
            case 6 * 8 + 3: tile<6, 3>(work); break;
            default: tile<6, 4>(work); break;
          }
        }
        weights += size;
      }
    }
  }
}

#else

bool DirectPlan::supported() { return false; }

// Never called.
void DirectPlan::run(const float*, int64_t, const float*, const float*, const float*, bool, float*, int64_t,
                     int64_t) const {}

#endif

}  // namespace mp

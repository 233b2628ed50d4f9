#include "conv_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define MP_BF16_PRODUCTS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#endif

namespace mp {
namespace {

// One block of sums: three columns of the kernel, 8 filters, 16 channels.
constexpr int64_t kColumns = 3;
constexpr int64_t kFilters = 8;
constexpr int64_t kBlock = kColumns * kFilters * kLanes;

#ifdef MP_BF16_PRODUCTS

// 16 channels from `channel` on of a column of a row, [width, channels], each in a lane of 32 bits; 0 beyond the row.
MP_INLINE FloatBits spread(const bf16* row, int64_t width, int64_t channels, int64_t column, int64_t channel) {
  HalfBits bits{};
  if (column >= 0 && column < width) std::memcpy(&bits, row + column * channels + channel, sizeof bits);
  return __builtin_convertvector(bits, FloatBits);
}

MP_INLINE void store_pairs(FloatBits first, FloatBits second, uint32_t* to) {
  const FloatBits pairs = first | (second << 16);
  std::memcpy(to, &pairs, sizeof pairs);
}

MP_INLINE FloatBits load_pairs(const uint32_t* from) {
  FloatBits pairs;
  std::memcpy(&pairs, from, sizeof pairs);
  return pairs;
}

// sums + a b, over both numbers of each pair.
MP_BF16_PRODUCTS inline Vector<float> add_products(Vector<float> sums, FloatBits a, FloatBits b) {
  return (Vector<float>)_mm512_dpbf16_ps((__m512)sums, (__m512bh)a, (__m512bh)b);
}

// [height, starts, channels]: at start s, columns s - 1 and s - 1 + stride, 0 beyond the map.
MP_BF16_PRODUCTS void pack_input(const bf16* x, const ConvShape& shape, uint32_t* to) {
  for (int64_t y = 0; y < shape.height; ++y, x += shape.width * shape.channels) {
    for (int64_t start = 0; start < shape.starts(); ++start, to += shape.channels) {
      for (int64_t c = 0; c < shape.channels; c += kLanes) {
        store_pairs(spread(x, shape.width, shape.channels, start - 1, c),
                    spread(x, shape.width, shape.channels, start - 1 + shape.stride, c), to + c);
      }
    }
  }
}

// [out_height, pairs, filters]: at pair q, columns 2 q and 2 q + 1, 0 beyond the map.
MP_BF16_PRODUCTS void pack_gradient(const bf16* dy, const ConvShape& shape, uint32_t* to) {
  const int64_t width = shape.out_width();
  for (int64_t y = 0; y < shape.out_height(); ++y, dy += width * shape.filters) {
    for (int64_t pair = 0; pair < shape.pairs(); ++pair, to += shape.filters) {
      for (int64_t k = 0; k < shape.filters; k += kLanes) {
        store_pairs(spread(dy, width, shape.filters, 2 * pair, k), spread(dy, width, shape.filters, 2 * pair + 1, k), to + k);
      }
    }
  }
}

// Adds a group of packed images to the block of `row` of the kernel whose first channel and filter are where `x` and `dy`
// point to.
MP_BF16_PRODUCTS void add_block(const uint32_t* x, const uint32_t* dy, int64_t images, int64_t row,
                                const ConvShape& shape, float* sums) {
  Vector<float> block[kColumns * kFilters];
#pragma GCC unroll 24
  for (int64_t k = 0; k < kColumns * kFilters; ++k) {
    block[k] = load16(sums + k * kLanes);
  }
  const int64_t x_row = shape.starts() * shape.channels, dy_row = shape.pairs() * shape.filters;
  for (int64_t image = 0; image < images; ++image) {
    for (int64_t y = 0; y < shape.out_height(); ++y) {
      const int64_t from = y * shape.stride + row - 1;
      if (from < 0 || from >= shape.height) continue;
      const uint32_t* a = x + image * shape.packed_input() + from * x_row;
      const uint32_t* b = dy + image * shape.packed_gradient() + y * dy_row;
      for (int64_t pair = 0; pair < shape.pairs(); ++pair) {
        const FloatBits left = load_pairs(a), middle = load_pairs(a + shape.channels),
                        right = load_pairs(a + 2 * shape.channels);
#pragma GCC unroll 8
        for (int64_t k = 0; k < kFilters; ++k) {
          const FloatBits gradient = b[k] + FloatBits{};
          block[k] = add_products(block[k], left, gradient);
          block[kFilters + k] = add_products(block[kFilters + k], middle, gradient);
          block[2 * kFilters + k] = add_products(block[2 * kFilters + k], right, gradient);
        }
        a += 2 * shape.stride * shape.channels;
        b += shape.filters;
      }
    }
  }
#pragma GCC unroll 24
  for (int64_t k = 0; k < kColumns * kFilters; ++k) {
    store16(block[k], sums + k * kLanes);
  }
}

#endif

// What a block's number says: the first channel, the row of the kernel and the first filter.
struct Place {
  int64_t channel;
  int64_t row;
  int64_t filter;

  Place(int64_t block, const ConvShape& shape) {
    const int64_t filters = shape.filters / kFilters;
    filter = block % filters * kFilters;
    row = block / filters % 3;
    channel = block / filters / 3 * kLanes;
  }
};

}  // namespace

#ifdef MP_BF16_PRODUCTS

bool has_bf16_products() { return __builtin_cpu_supports("avx512bf16") && !__builtin_cpu_supports("amx-bf16"); }

void conv_weight_sums(const bf16* x, const bf16* dy, int64_t images, const ConvShape& shape, uint32_t* memory, float* sums) {
  std::fill_n(sums, shape.weights(), 0.0f);
  uint32_t* const packed_x = memory;
  uint32_t* const packed_dy = memory + shape.group() * shape.packed_input();
  const int64_t x_size = shape.height * shape.width * shape.channels;
  const int64_t dy_size = shape.out_height() * shape.out_width() * shape.filters;
  for (int64_t done = 0; done < images; done += shape.group()) {
    const int64_t group = std::min(shape.group(), images - done);
    for (int64_t image = 0; image < group; ++image) {
      pack_input(x + (done + image) * x_size, shape, packed_x + image * shape.packed_input());
      pack_gradient(dy + (done + image) * dy_size, shape, packed_dy + image * shape.packed_gradient());
    }
    for (int64_t block = 0; block < shape.blocks(); ++block) {
      const Place place(block, shape);
      add_block(packed_x + place.channel, packed_dy + place.filter, group, place.row, shape, sums + block * kBlock);
    }
  }
}

#else

bool has_bf16_products() { return false; }

// Never called.
void conv_weight_sums(const bf16*, const bf16*, int64_t, const ConvShape&, uint32_t*, float*) {}

#endif

void conv_weight_total(const float* sums, int64_t count, int64_t block, const ConvShape& shape, float* to) {
  const Place place(block, shape);
  for (int64_t column = 0; column < kColumns; ++column) {
    for (int64_t k = 0; k < kFilters; ++k) {
      const float* from = sums + block * kBlock + (column * kFilters + k) * kLanes;
      Vector<float> total = load16(from);
      for (int64_t other = 1; other < count; ++other) {
        total += load16(from + other * shape.weights());
      }
      store16(total, to + (((place.filter + k) * 3 + place.row) * 3 + column) * shape.channels + place.channel);
    }
  }
}

}  // namespace mp

// A convolution of float32 maps for inference, by our own loops: a tile of the result, some pixels by some channels, stays in
// registers while all that goes into it is added up. Nothing is set up from call to call but the loop over tiles, which is
// what a small map needs. Channels-last, one group, machines with AVX-512. Free of libtorch.

#pragma once

#include "vector.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace mp {

// Sizes of one image and of the kernel. Pairs are of height and width.
struct DirectShape {
  int64_t channels, filters;
  std::array<int64_t, 2> size, kernel, stride, padding;

  int64_t out(int axis) const { return (size[axis] + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1; }
  bool operator==(const DirectShape&) const = default;
};

// What is made once for a shape: in which tiles and blocks of channels the result is computed, and where each tile reads.
class DirectPlan {
 public:
  // Whether this machine has the instructions.
  static bool supported();

  explicit DirectPlan(const DirectShape& shape);

  const DirectShape& shape() const { return shape_; }
  // Numbers that `pack` writes.
  int64_t packed_size() const;
  // Weights [filters, kernel height, kernel width, channels], channels last, to the order in which tiles read them.
  void pack(const float* weights, float* packed) const;

  // Numbers of an image with its padding, for maps of few channels, which are copied first; 0 where none is.
  int64_t padded_size() const { return padded_ ? padded_height() * padded_width() * shape_.channels : 0; }
  void pad(const float* image, float* padded) const;

  // Units of work that `images` images have, all of one cost. Whoever does many of them one after another reads the weights of
  // the next ones ahead.
  int64_t units(int64_t images) const { return images * tiles_ * vectors_; }
  // So many units at least should be done together: fewer would read weights for too little work.
  int64_t least_units() const { return std::min(tiles_, kFewTiles) * blocks_.front().vectors; }
  // Does the units from `begin` to `end`. `x` is [images, height, width, channels], padded where images are; `offset` has
  // a value for each filter, rounded up to whole vectors; `residual`, of the result's shape, may be null.
  void run(const float* x, int64_t images, const float* packed, const float* offset, const float* residual, bool relu,
           float* y, int64_t begin, int64_t end) const;

 private:
  static constexpr int kMostRows = 12;
  static constexpr int64_t kFewTiles = 24;

  // Some vectors of filters that tiles take at once.
  struct Block {
    int64_t first;
    int vectors;
  };
  // Some pixels of the result, counted over the whole image.
  struct Tile {
    int32_t from[kMostRows];
    int32_t count;
  };

  // What a tile adds up: some taps, of which the last ones finish the result.
  struct Work {
    const Tile* tile;
    const uint16_t* present;
    int64_t first_tap, last_tap;
    const float* x;
    const float* weights;
    // What is fetched ahead, so many bytes further with every step.
    const char* ahead;
    int64_t pace;
    // Null where sums are continued from `y`.
    const float* offset;
    const float* residual;
    bool relu;
    float* y;
    // Filters of the last vector.
    uint16_t last;
  };

  int64_t padded_height() const { return shape_.size[0] + 2 * shape_.padding[0]; }
  int64_t padded_width() const { return shape_.size[1] + 2 * shape_.padding[1]; }
  int64_t taps() const { return static_cast<int64_t>(steps_.size()); }
  template <int kRows, int kVectors>
  void tile(const Work& work) const;

  DirectShape shape_;
  // Whether the images that tiles read have zeros around them.
  bool padded_;
  // Numbers side by side that one tap reads.
  int64_t run_;
  int64_t vectors_, tiles_;
  int rows_;
  // How many tiles are done for all filters before the next ones: so many that what they read stays near.
  int64_t chunk_;
  std::vector<Block> blocks_;
  // Taps whose weights stay in the second cache, together with as many of the next ones.
  int64_t taps_at_once_;
  // By how much each tap is ahead of a tile's pixel.
  std::vector<int64_t> steps_;
  std::vector<Tile> tiles_of_one_;
  // [tiles, taps]: which rows of the tile a tap reaches; the others lie in the padding.
  std::vector<uint16_t> present_;
  std::vector<float> zeros_;
};

}  // namespace mp

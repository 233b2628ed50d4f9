// Arrays of numbers in a format of the kernels, between guards that no kernel may touch. Included in a namespace of one format and
// width, after numbers.cuh.

// The nearest number to `value`.
inline Number number_of(double value) {
#if MP_FORMAT == 0
  return static_cast<float>(value);
#else
  return static_cast<Number>(narrowed(static_cast<float>(value), 0.0f) & 0xffffu);
#endif
}

inline double wide(Number of) { return number(of); }

// The largest distance of a number within ±1 from the nearest one, with room for what sums in float32 lose.
constexpr double kRounding = MP_FORMAT == 0 ? 4e-6 : MP_FORMAT == 1 ? 4.1e-3 : 5.2e-4;

template <typename T>
class Array {
 public:
  // Bits that no result has: an output that is not written stays so.
  static constexpr unsigned char kPoison = 0xff;

  explicit Array(int64_t count) : count_(count), memory_(static_cast<size_t>(count) * sizeof(T) + 2 * kGuard + 16, kPoison) {
    const auto start = reinterpret_cast<uintptr_t>(memory_.data()) + kGuard;
    data_ = reinterpret_cast<T*>((start + 15) / 16 * 16);
  }
  Array(const Array&) = delete;
  ~Array() {
    const auto* const from = reinterpret_cast<const unsigned char*>(data_);
    for (int64_t k = -kGuard; k < 0; ++k) guard(from[k]);
    for (int64_t k = 0; k < kGuard; ++k) guard(from[count_ * static_cast<int64_t>(sizeof(T)) + k]);
  }

  T* data() { return data_; }
  T& operator[](int64_t k) { return data_[k]; }
  int64_t size() const { return count_; }

 private:
  static constexpr int64_t kGuard = 64;

  static void guard(unsigned char byte) {
    if (byte != kPoison) {
      std::fprintf(stderr, "a kernel wrote beyond its array\n");
      std::exit(1);
    }
  }

  int64_t count_;
  std::vector<unsigned char> memory_;
  T* data_;
};

// A fixed pattern within ±1.
inline void fill(Array<Number>& array, double phase) {
  for (int64_t k = 0; k < array.size(); ++k) array[k] = number_of(std::sin(0.7 * static_cast<double>(k) + phase));
}

inline void fill_floats(Array<float>& array, double phase) {
  for (int64_t k = 0; k < array.size(); ++k) array[k] = static_cast<float>(std::sin(1.3 * static_cast<double>(k) + phase));
}

inline void near(double found, double expected, double tolerance, const char* what, int64_t k) {
  // A NaN is near nothing.
  if (!(std::fabs(found - expected) <= tolerance * std::max(1.0, std::fabs(expected)))) {
    std::fprintf(stderr, "%s, format %d, width %d: number %lld is %.9g, expected %.9g\n", what, MP_FORMAT, MP_WIDTH,
                 static_cast<long long>(k), found, expected);
    std::exit(1);
  }
}

// Maps of several paths. Included in a namespace of one format and width, after arrays.h.

// `count` maps of `numbers` numbers each.
struct Maps {
  std::deque<Array<Number>> at;

  Maps(int count, int64_t numbers) {
    for (int i = 0; i < count; ++i) at.emplace_back(numbers);
  }
  Maps(int count, int64_t numbers, double phase) : Maps(count, numbers) {
    for (int i = 0; i < count; ++i) fill(at[static_cast<size_t>(i)], phase + i);
  }

  Array<Number>& operator[](int i) { return at[static_cast<size_t>(i)]; }
  double wide(int i, int64_t k) { return number(at[static_cast<size_t>(i)][k]); }

  template <typename Pointer>
  void give(Pointer* to) {
    for (size_t i = 0; i < at.size(); ++i) to[i] = at[i].data();
  }
};

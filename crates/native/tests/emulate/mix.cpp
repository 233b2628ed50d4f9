#include "gpu.h"

namespace float32_by_8_from_3_to_3 {
#define MP_FORMAT 0
#define MP_WIDTH 8
#define MP_SOURCES 3
#define MP_TARGETS 3
#include "mix_checks.h"
#undef MP_FORMAT
#undef MP_WIDTH
#undef MP_SOURCES
#undef MP_TARGETS
}  // namespace float32_by_8_from_3_to_3

namespace bfloat16_by_8_from_1_to_2 {
#define MP_FORMAT 1
#define MP_WIDTH 8
#define MP_SOURCES 1
#define MP_TARGETS 2
#include "mix_checks.h"
#undef MP_FORMAT
#undef MP_WIDTH
#undef MP_SOURCES
#undef MP_TARGETS
}  // namespace bfloat16_by_8_from_1_to_2

namespace float16_by_1_from_4_to_1 {
#define MP_FORMAT 2
#define MP_WIDTH 1
#define MP_SOURCES 4
#define MP_TARGETS 1
#include "mix_checks.h"
#undef MP_FORMAT
#undef MP_WIDTH
#undef MP_SOURCES
#undef MP_TARGETS
}  // namespace float16_by_1_from_4_to_1

void check_mix() {
  float32_by_8_from_3_to_3::check_mix();
  bfloat16_by_8_from_1_to_2::check_mix();
  float16_by_1_from_4_to_1::check_mix();
}

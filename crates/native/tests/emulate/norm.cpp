#include "gpu.h"

namespace float32_by_8 {
#define MP_FORMAT 0
#define MP_WIDTH 8
#include "norm_checks.h"
#undef MP_FORMAT
#undef MP_WIDTH
}  // namespace float32_by_8

namespace float32_by_1 {
#define MP_FORMAT 0
#define MP_WIDTH 1
#include "norm_checks.h"
#undef MP_FORMAT
#undef MP_WIDTH
}  // namespace float32_by_1

namespace bfloat16_by_8 {
#define MP_FORMAT 1
#define MP_WIDTH 8
#include "norm_checks.h"
#undef MP_FORMAT
#undef MP_WIDTH
}  // namespace bfloat16_by_8

namespace float16_by_2 {
#define MP_FORMAT 2
#define MP_WIDTH 2
#include "norm_checks.h"
#undef MP_FORMAT
#undef MP_WIDTH
}  // namespace float16_by_2

void check_norm() {
  float32_by_8::check_norm();
  float32_by_1::check_norm();
  bfloat16_by_8::check_norm();
  float16_by_2::check_norm();
}

// The loops over numbers, free of libtorch, so that they are compiled once for each level of vector instructions.

#pragma once

#include "vector.h"

namespace mp {

constexpr int kMaxPaths = 8;

// Y_j = sum_i g_ij X_i for one sample: `count` numbers from `offset` on in every source and target; `g` is [S, T].
void mix_sample(const float* const* x, float* const* y, const float* g, int sources, int targets, int64_t offset,
                int64_t count);
void mix_sample(const double* const* x, double* const* y, const double* g, int sources, int targets, int64_t offset,
                int64_t count);
void mix_sample(const bf16* const* x, bf16* const* y, const float* g, int sources, int targets, int64_t offset,
                int64_t count);

// dX_i = sum_j g_ij dY_j and dg_ij = <X_i, dY_j> for one sample.
void mix_sample_gradients(const float* const* x, const float* const* dy, float* const* dx, const float* g, float* dg,
                          int sources, int targets, int64_t offset, int64_t count);
void mix_sample_gradients(const double* const* x, const double* const* dy, double* const* dx, const double* g,
                          double* dg, int sources, int targets, int64_t offset, int64_t count);
void mix_sample_gradients(const bf16* const* x, const bf16* const* dy, bf16* const* dx, const float* g, float* dg,
                          int sources, int targets, int64_t offset, int64_t count);

// dg_ij = <X_i, dY_j> for one sample alone.
void mix_sample_products(const float* const* x, const float* const* dy, float* dg, int sources, int targets,
                         int64_t offset, int64_t count);
void mix_sample_products(const double* const* x, const double* const* dy, double* dg, int sources, int targets,
                         int64_t offset, int64_t count);
void mix_sample_products(const bf16* const* x, const bf16* const* dy, float* dg, int sources, int targets,
                         int64_t offset, int64_t count);

// What one sample is in gated inputs: in each source `rows` rows of `width` numbers; in each target rows of the rows of all
// sources, side by side.
struct RowsShape {
  int sources;
  int targets;
  int64_t rows;
  int64_t width;
};

// z_j[row] = (g_0j x_0[row], g_1j x_1[row], ...) for sample `b`; `g` is its [S, T].
void gate_rows(const float* const* x, float* const* z, const float* g, const RowsShape& shape, int64_t b);
void gate_rows(const double* const* x, double* const* z, const double* g, const RowsShape& shape, int64_t b);
void gate_rows(const bf16* const* x, bf16* const* z, const float* g, const RowsShape& shape, int64_t b);

// dx_i = sum_j g_ij dz_j, over the i-th part of each row, and dg_ij = <x_i, dz_j> over the same, for sample `b`.
void gate_rows_gradients(const float* const* x, const float* const* dz, float* const* dx, const float* g, float* dg,
                         const RowsShape& shape, int64_t b);
void gate_rows_gradients(const double* const* x, const double* const* dz, double* const* dx, const double* g, double* dg,
                         const RowsShape& shape, int64_t b);
void gate_rows_gradients(const bf16* const* x, const bf16* const* dz, bf16* const* dx, const float* g, float* dg,
                         const RowsShape& shape, int64_t b);

}  // namespace mp

/*
 * Linear layers over packed weights: packing, dividing panels among threads, and the
 * optional OpenBLAS path (blas.h).
 *
 * A matrix is constant once it is made. An output is the same chain of operations
 * (kernel.h) in a product with one row or with 512, except with BLAS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_GEMM_H
#define ENGINE_KERNEL_GEMM_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/kernel/matrix.h"
#include "engine/kernel/pool.h"

/* Room for quantised rows, shared by all products; sized at open. */
struct gemm_scratch {
    char *block; /* owns */
    size_t slot_bytes, rows_bytes;
    uint64_t n_jobs; /* a slot with another number holds the rows of an older job */
};

struct gemm {
    const struct kernels *k;
    struct pool *pool;
    bool blas; /* OpenBLAS runs products of >= 32 rows where m->rows exists */
    struct gemm_scratch *scratch; /* borrows; may be NULL when no matrix is quantised */
};

/* Scratch for products of up to max_rows rows over at most max_in inputs. More rows run
 * too, in slices. ERR_MEMORY; close accepts a zeroed one. */
int gemm_scratch_open(struct gemm_scratch *s, int max_in, int max_rows, int n_threads,
                      struct err *err);
void gemm_scratch_close(struct gemm_scratch *s);
size_t gemm_scratch_bytes(int max_in, int max_rows, int n_threads);

/* Packs rows ([n_out][n_in] floats of m's type, at any address) into m->panels, taken
 * from the arena; with blas into m->rows too. ERR_MEMORY. */
int gemm_pack(struct matrix *m, struct arena *a, const void *rows, bool blas,
              struct err *err);

/* y[n_rows, n_out] = x · wᵀ + bias, ldx and ldy in floats. */
void gemm_run(const struct gemm *g, const struct matrix *m, const float *x, size_t ldx,
              int n_rows, float *y, size_t ldy);

/* Several products of the same rows (projections that share an input, so all of one
 * n_in) as one job of the pool: the threads synchronise once instead of n times, and the
 * rows are quantised once. n <= GEMM_GROUP; the outputs do not overlap. */
enum { GEMM_GROUP = 4 };

struct gemm_product {
    const struct matrix *m;
    float *y;
    size_t ldy; /* in floats */
};

struct gemm_input {
    const float *x;
    size_t ldx; /* in floats */
    int n_rows;
};

void gemm_run_group(const struct gemm *g, const struct gemm_input *in,
                    const struct gemm_product *p, int n);

#endif

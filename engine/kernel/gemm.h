/*
 * Linear layers over packed weights: packing, dividing panels among threads, and the
 * optional OpenBLAS path (gemm.c alone includes cblas.h).
 *
 * A matrix is made at load and constant after. Its product with one row or with 512 is
 * the same chain of operations per output (kernel.h), unless BLAS was asked for.
 */
#ifndef ENGINE_KERNEL_GEMM_H
#define ENGINE_KERNEL_GEMM_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/kernel/kernel.h"
#include "engine/kernel/pool.h"

struct matrix {
    enum dtype type;
    int n_in, n_out;
    const void
        *panels; /* borrows until the model ends: its arena or the file's mapping */
    const uint16_t *scales; /* q8, q4: borrows likewise; else NULL */
    const float *bias;      /* [n_out] or NULL; borrows, likewise */
    const float *rows;      /* f32 [n_out][n_in] for BLAS, or NULL */
};

struct gemm {
    const struct kernels *k;
    struct pool *pool;
    bool blas; /* hand products of >= 32 rows to OpenBLAS where m->rows exists */
};

/* Bytes of panels for the type and shape (last panel padded). */
size_t gemm_panel_bytes(enum dtype type, int n_in, int n_out);

/* Packs w ([n_out][n_in], of type, any alignment) into m->panels taken from a; bias is
 * kept as it is. With blas also m->rows. ERR_MEMORY. */
int gemm_pack(struct matrix *m, struct arena *a, enum dtype type, const void *w,
              int n_out, int n_in, bool blas, struct err *err);

/* y[n_rows, n_out] = x · wᵀ + bias, ldx and ldy in floats. */
void gemm_run(const struct gemm *g, const struct matrix *m, const float *x, size_t ldx,
              int n_rows, float *y, size_t ldy);

/* Several products of the same rows (projections that share an input) as one job of the
 * pool: the threads meet once instead of n times. n <= GEMM_GROUP; the outputs do not
 * overlap. */
enum { GEMM_GROUP = 4 };

struct gemm_product {
    const struct matrix *m;
    const float *x;
    float *y;
    size_t ldx, ldy; /* in floats */
};

void gemm_run_group(const struct gemm *g, const struct gemm_product *p, int n,
                    int n_rows);

/* Sets OpenBLAS's thread count; called at open with --math blas. */
void gemm_blas_threads(int n);

#endif

/*
 * The calls into OpenBLAS, or their refusal: the Makefile defines SSMD_BLAS for this file
 * when BLAS=1. It alone includes cblas.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/blas.h"

#ifdef SSMD_BLAS

#include <cblas.h>

int blas_open(int n_threads, struct err *err)
{
    (void)err;
    openblas_set_num_threads(n_threads);
    return 0;
}

void blas_linear(const float *w, const struct linear_args *a)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, a->n_rows, a->n_out, a->n_in,
                1.0f, a->x, (blasint)a->ldx, w, a->n_in, 0.0f, a->y, (blasint)a->ldy);
}

#else

int blas_open(int n_threads, struct err *err)
{
    (void)n_threads;
    return err_param(err, ERR_ARGUMENT, "math",
                     "math: expected exact, found blas: this ssmd was built without "
                     "OpenBLAS (make BLAS=1 builds it with)");
}

void blas_linear(const float *w, const struct linear_args *a)
{
    (void)w;
    (void)a;
}

#endif

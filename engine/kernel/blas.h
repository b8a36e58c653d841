/*
 * OpenBLAS behind --math blas: products of many rows by floats, whose bits are not
 * promised. Engine thread. A build with BLAS=0 has no OpenBLAS: blas_open refuses there,
 * and blas_linear is never reached.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_KERNEL_BLAS_H
#define ENGINE_KERNEL_BLAS_H

#include "engine/base/err.h"
#include "engine/kernel/kernel.h"

/* Sets OpenBLAS's thread count. ERR_ARGUMENT in a build without OpenBLAS. */
int blas_open(int n_threads, struct err *err);

/* y[n_rows, n_out] = x · wᵀ without the bias. w, f32 [n_out][n_in], replaces the panels
 * of a. */
void blas_linear(const float *w, const struct linear_args *a);

#endif

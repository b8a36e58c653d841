/*
 * One mixer bound to tensors made for a test, and what it takes to run it over a few
 * rows; and the f64 side of its equations. Used on the test's one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_MIXER_BENCH_H
#define TESTS_LIB_MIXER_BENCH_H

#include "engine/mixer/mixer.h"
#include "tests/lib/model_maker.h"

enum { MIXER_BENCH_ROWS = 40, MIXER_BENCH_POSITIONS = 340 };

struct mixer_bench {
    struct maker maker;
    struct weights weights;
    struct arena arena, scratch;
    struct pool *pool;
    struct gemm gemm; /* the C set, two threads */
    struct bind bind;
    struct mixer mx;
    char *fixed, *pages; /* own */
    int32_t table[MIXER_BENCH_POSITIONS / PAGE_TOKENS + 1];
};

/* Makes a file of the tensors that `add` adds and opens it; fails the test otherwise. */
typedef void mixer_bench_add_fn(struct maker *m);
void mixer_bench_open(struct mixer_bench *b, mixer_bench_add_fn *add, int hidden);
void mixer_bench_close(struct mixer_bench *b);

/* Binds b->mx anew, with memory for its state. */
void mixer_bench_bind(struct mixer_bench *b, const struct mixer_kind *kind,
                      const void *spec);

/* All rows at positions from `shift` on, from an empty state. x and y are
 * [MIXER_BENCH_ROWS][hidden]. */
void mixer_bench_run(struct mixer_bench *b, const float *x, float *y, int shift);

/* The f32 values of a tensor of the file. */
const float *mixer_bench_values(const struct mixer_bench *b, const char *name);

/* Pseudo-random input from -1 to 1. */
void mixer_bench_input(float *x, size_t n);

/* Fails unless every |want - got| <= tolerance * max |want|. */
void mixer_bench_near(const double *want, const float *got, size_t n, double tolerance);

/* out[r, o] = Σ_k in[r, k] w[o, k] in f64 for all rows. */
void mixer_bench_multiply(const double *in, const float *w, int n_in, int n_out,
                          double *out);

#endif

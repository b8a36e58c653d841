/*
 * One mixer bound to tensors that a test makes, and rows run through it: several
 * sequences, whole or cut into steps at random places; and the f64 side of its equations.
 *
 * Tensors are added to `maker` between open and load. What cannot be made fails the test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_MIXER_STEPS_H
#define TESTS_LIB_MIXER_STEPS_H

#include "engine/mixer/mixer.h"
#include "tests/lib/model_maker.h"

enum { MIXER_STEPS_SEQS = 4 };

struct mixer_steps {
    struct maker maker;
    struct weights weights;
    struct arena arena, scratch;
    struct pool *pool;
    struct gemm gemm;
    struct bind bind;
    struct mixer mx;
    int n_seqs, n_tokens, first_pos; /* first_pos: of every sequence's first row; 0 */
    float *x, *y; /* [n_seqs][n_tokens][hidden_size]; x is random within ±1 */
    char *slots;  /* [n_seqs][slot_bytes]: the states after a run */
    size_t slot_bytes;
    char *pages;    /* [n_seqs][pages of n_tokens], likewise */
    int32_t *table; /* of the pages */
};

void mixer_steps_open(struct mixer_steps *b, int hidden, int n_seqs, int n_tokens);
void mixer_steps_load(struct mixer_steps *b);
void mixer_steps_close(struct mixer_steps *b);

/* May be called again: what was bound before is no longer used. */
void mixer_steps_bind(struct mixer_steps *b, const struct mixer_kind *kind,
                      const void *spec, const struct kernels *k, int threads);

/* x to y from empty states, in steps with up to `most` rows of each sequence; 0: all rows
 * in one step. */
void mixer_steps_run(struct mixer_steps *b, int most);

/* The f32 values of a tensor of the file. */
const float *mixer_steps_values(const struct mixer_steps *b, const char *name);

/* out[r, o] = Σ_k in[r, k] w[o, k] + bias[o] in f64. */
struct mixer_steps_linear {
    const float *w, *bias; /* bias NULL: none */
    int n_in, n_out;
};
void mixer_steps_multiply(const double *in, int n_rows,
                          const struct mixer_steps_linear *l, double *out);

/* Every value of y is within tolerance · max |want| of want. */
void mixer_steps_expect(const struct mixer_steps *b, const double *want,
                        double tolerance);

/* With every kernel set of this processor, one to three threads and several cuts, y, the
 * states and the pages are the bytes that the C set computes from whole prompts; and rows
 * that are no numbers reach their own sequence alone, which does not hide them. */
void mixer_steps_expect_same(struct mixer_steps *b, const struct mixer_kind *kind,
                             const void *spec);

#endif

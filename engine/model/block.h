/*
 * A block: a topology plus a short list of mixers.
 *
 * BLOCK_SERIAL    for each branch: h = r ⊙ h + mixer(norm(h)), r absent = 1.
 *                 A Transformer layer is {attention, ffn}; a TransXSSM layer is
 *                 {SSD | attention, ffn}.
 * BLOCK_PARALLEL  n = norm_in(h); r = alpha·h + Σ_i w_i·norm_i(mixer_i(n));
 *                 m = norm_post(r); h = main(m), plus m when main_residual.
 *                 A PHA layer (arXiv 2606.16093).
 *
 * Made at open and constant afterwards; the model's arena owns all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_BLOCK_H
#define ENGINE_MODEL_BLOCK_H

#include "engine/mixer/mixer.h"
#include "engine/mixer/norm.h"

#include <stdbool.h>

enum { BLOCK_MAX_BRANCHES = 4 };

enum block_kind { BLOCK_SERIAL, BLOCK_PARALLEL };

struct branch {
    struct mixer mixer;
    struct norm norm;      /* serial: before the mixer; parallel: after it */
    const float *residual; /* serial: [D] or NULL */
    float weight;          /* parallel: w_i */
};

struct block {
    enum block_kind kind;
    struct branch branches[BLOCK_MAX_BRANCHES];
    int n_branches;
    /* BLOCK_PARALLEL only */
    struct norm norm_in, norm_post;
    struct mixer main;
    float alpha;
    bool main_residual;
};

/* Calls fn for every mixer of the block. */
typedef void block_mixer_fn(struct mixer *mx, void *arg);
void block_each_mixer(struct block *b, block_mixer_fn *fn, void *arg);

/* h[r, :], [n_rows, hidden] in place. Scratch: two buffers of that size beside the
 * mixers'. */
void block_run(const struct block *b, const struct ctx *c, float *h, int hidden);

enum { BLOCK_BUFFERS = 2 };

#endif

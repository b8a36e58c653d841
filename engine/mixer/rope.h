/*
 * Rotary position tables (arXiv 2104.09864, rotate-half form) with the scalings of the
 * Hugging Face configurations: default, linear, llama3, dynamic, yarn, longrope.
 *
 * A table is computed once, for the served context, in f64, and rounded to f32. A
 * recurrent state cannot be rotated again, so the table never changes. One table serves
 * every layer of its width: the unified position code of TransXSSM (arXiv 2506.09507,
 * section 3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_ROPE_H
#define ENGINE_MIXER_ROPE_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/load/hparams.h"
#include "engine/mixer/mixer.h"

struct rope {
    int dim, n_pos;
    const float *cos, *sin; /* [n_pos][dim/2]; borrow from the arena */
};

/* The use of a table. */
struct rope_use {
    int dim;           /* even */
    int max_position;  /* m of the formulas */
    int context;       /* rows of the table: positions [0, context) */
    bool plain_length; /* without the attention factor (cosine attention) */
    bool sizes;        /* take the table's memory and compute nothing */
};

/* ERR_FORMAT for an odd width or factor lists of the wrong length. */
int rope_open(struct rope *r, struct arena *a, const struct rope_params *p,
              const struct rope_use *use, struct err *err);

/* Rows [.][n_heads][width] of heads, of which dimension i < dim/2 pairs with i + dim/2;
 * those from dim <= width on stay as they are. */
struct rope_heads {
    float *x;
    int n_heads, width;
};

/* Rotates the heads of rows [row0, row1) by the rows' positions. */
void rope_rows(const struct rope *r, const struct ctx *c, const struct rope_heads *heads,
               int row0, int row1);

#endif

/*
 * A mixer: one sequence transformation (attention, a recurrence, feed-forward)
 * behind one table. A model is an array of blocks, a block a topology and a short list of
 * mixers.
 *
 * The architecture names tensors in a spec, mixers check shapes, kernels compute. `run`
 * serves prefill and decode alike: a span is n rows of a sequence from one position on,
 * n = 1 is decode, and a row's bits do not depend on how rows are divided into spans. The
 * state of a mixer is two sizes (bytes per sequence, bytes per page); state/ needs no
 * more.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_MIXER_H
#define ENGINE_MIXER_MIXER_H

#include "engine/base/arena.h"
#include "engine/base/err.h"
#include "engine/kernel/gemm.h"
#include "engine/mixer/bind.h"
#include "engine/mixer/cost.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- a step's rows ---------------------------------------------------------- */

struct span {
    int row0, n_rows;     /* rows [row0, row0 + n_rows) of the step */
    int pos;              /* position of the first row */
    char *fixed;          /* the sequence's slot; each mixer adds its offset */
    const int32_t *pages; /* page table up to the last row; borrowed for the step */
};

struct ctx { /* built by run/, constant during a forward pass */
    const struct gemm *gemm;
    struct arena *scratch; /* fixed size; a mixer releases what it took */
    const struct span *spans;
    int n_spans, n_rows;
    const int32_t *positions; /* [n_rows] */
    const int32_t *row_span;  /* [n_rows]: index into spans */
    char *pages;              /* page pool */
    size_t page_bytes;
};

/* ---- the table -------------------------------------------------------------- */

struct ring;

struct state_need {
    size_t fixed_bytes; /* per sequence, any length */
    size_t page_bytes;  /* per PAGE_TOKENS tokens */
    /* fixed_bytes are rows by position, of which the oldest are written over: a sequence may
     * go back by RING_SPARE tokens, and what the rows behind it hold has no effect. */
    const struct ring *ring; /* ring.h; or NULL */
};

struct mixer;

struct mixer_kind {
    const char *name;
    /* Takes tensors by the spec's names with strict shapes; mx->impl from the arena. */
    int (*bind)(struct mixer *mx, const void *spec, const struct bind *b,
                struct err *err);
    /* Upper bound of scratch bytes for a step of max_rows rows. */
    size_t (*scratch)(const struct mixer *mx, int max_rows);
    /* y[r, :] from x[r, :], both [n_rows, hidden_size]; advances the states. */
    void (*run)(const struct mixer *mx, const struct ctx *c, const float *x, float *y);
    /* Adds what a step of these rows must read, write and compute. */
    void (*cost)(const struct mixer *mx, const struct engine_batch *s,
                 struct engine_cost *sum);
};

struct mixer {
    const struct mixer_kind *kind;
    void *impl; /* borrows from the model's arena */
    struct state_need need;
    size_t fixed_offset; /* in the slot, set by the model */
    size_t page_offset;  /* in the page, likewise */
};

extern const struct mixer_kind mixer_attn, mixer_ssd, mixer_gss, mixer_dss, mixer_ffn,
    mixer_hedgehog, mixer_h3, mixer_mamba2, mixer_shortconv, mixer_gdn;

/* Scratch for n floats (never NULL: sized at open); released with the caller's mark. */
float *mixer_floats(const struct ctx *c, size_t n);

/* Runs fn over [row0, row1) pieces of the step's rows, on several threads when
 * n_rows * floats_per_row is large enough. Rows must not depend on each other. */
typedef void mixer_rows_fn(const void *arg, const struct ctx *c, int row0, int row1);
void mixer_rows(const struct ctx *c, mixer_rows_fn *fn, const void *arg,
                size_t floats_per_row);

/* Runs fn for each of the n units (heads, blocks) of every span's fixed state, divided
 * over the pool: with one row or few, states stream from memory, faster in long
 * stretches, and a task takes several units; with many rows a unit stays in the cache, and
 * each is a task. Units must not depend on each other. */
typedef void mixer_unit_fn(const void *arg, const struct ctx *c, const struct span *s,
                           int unit);
void mixer_units(const struct ctx *c, mixer_unit_fn *fn, const void *arg, int n);

/* y = x · mᵀ for all rows, x and y with the matrix's own widths as strides. */
void mixer_linear(const struct ctx *c, const struct matrix *m, const float *x, float *y);

/* The same for n <= GEMM_GROUP matrices that share x, as one job of the pool. */
void mixer_linears(const struct ctx *c, const float *x, const struct matrix *const *m,
                   float *const *y, int n);

/* Bytes that mixer_floats takes for n floats. */
size_t mixer_floats_bytes(size_t n);

#endif

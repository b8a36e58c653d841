/*
 * Requests and the prefix cache: the checkpoint that a request starts from, if any, and
 * where checkpoints are taken while it runs. Owns no memory and allocates none. Engine
 * thread only.
 *
 * A slot is the constant part of a state and, in it, the last token's row before the head
 * (struct model). The subtle point: a request whose whole prompt is cached runs the head over that
 * row, so that the state is not advanced twice. A checkpoint is taken after the forward
 * pass that computed it; requests that are admitted later can hit it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_REUSE_H
#define ENGINE_RUN_REUSE_H

#include "engine/run/request.h"
#include "engine/state/prefix.h"

struct batch;

struct reuse {
    struct slots *slots; /* borrows until close, as pages and prefix */
    struct pages *pages;
    struct prefix *prefix; /* NULL: no prefix cache */
    size_t row_at;         /* of the row in a slot */
    int row_floats;
    int interval;              /* tokens between checkpoints of a long prompt; 0: none */
    const struct vocab *vocab; /* NULL: texts are not compared */
    uint64_t missed[ENGINE_MISS_N]; /* tokens */
};

/* The interval that suits a model's state: tokens whose K/V takes the bytes of a
 * checkpoint's state, 256 to 4096, a multiple of the page (a checkpoint ends a step: closer
 * ones would cut prefill). 0 without a state, where any token will do; 4096 without K/V. */
int reuse_interval(size_t state_bytes, size_t page_bytes);

/* Gives a waiting request slots, a reservation of pages for its worst case and, on a hit,
 * the state of the longest cached prefix of its prompt. Evicts checkpoints as needed.
 * False: running requests leave too little room; the request has nothing then. */
bool reuse_begin(struct reuse *u, struct request *r);

/* A state was loaded for the first `depth` tokens of a request's prompt; 0: none was. */
void reuse_loaded(struct reuse *u, struct request *r, int depth);

/* After a forward pass: takes a checkpoint of each sequence of the batch that has reached
 * the depth of one. */
void reuse_keep(struct reuse *u, const struct batch *b);

/* Whether the state's last row is all finite numbers: later hits would repeat a NaN. */
bool reuse_is_sound(const struct reuse *u, int32_t slot);

/* Whether a sequence that ends now leaves a checkpoint: it has run rows since the one that
 * it started from, and its state is sound. */
bool reuse_wants(const struct reuse *u, const struct seq *s);

/* Ends a sequence: its slot becomes the checkpoint at its end, unless `spoilt`; the pools
 * get the rest back. */
void reuse_end(struct reuse *u, struct seq *s, bool spoilt);

/* The row behind a slot's state. */
float *reuse_row(const struct reuse *u, int32_t slot);

#endif

/*
 * Candidates in order: by logit, ties by smaller id, as many at a time as sampling wants.
 *
 * The vocabulary is divided into blocks that each have a peak. The best candidates lie in
 * few blocks, so they are gathered there and ordered by a heap; only when they do not
 * suffice is all the rest sorted. The order is that of a full sort, whatever is asked
 * for. Scratch belongs to the sampler; nothing is allocated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_RANK_H
#define ENGINE_RUN_RANK_H

#include "engine/kernel/kernel.h"

#include <stdint.h>

enum { RANK_BLOCK = 128 }; /* tokens of a block */

struct candidate {
    float y; /* tempered logit relative to the maximum */
    int32_t id;
};

struct rank {
    const struct kernels *k;
    int n;                         /* tokens */
    float *peaks;                  /* [rank_blocks(n)] */
    struct candidate *heap;        /* [n] */
    struct candidate *order;       /* [n] what rank_more has given so far, in order */
    int n_order, n_heap, n_sorted; /* given; in the heap; sorted behind those given */
    float least;                   /* no candidate below it was looked at yet */
};

int rank_blocks(int n);
int rank_block_end(int n, int block); /* the first token behind it */

/* The largest of x[n] within a block, as kernels' max. */
float rank_block_max(const struct kernels *k, const float *x, int n, int block);

/* Fills peaks; returns the largest of them, NaN when an x is. */
float rank_peaks(struct rank *r, const float *x);

/* The first token that is as large as the largest peak. */
int32_t rank_first(const struct rank *r, const float *x, float max);

/* Begins with y[n], none of it positive, whose peaks are in place; about `expected` will
 * be wanted. y must stay until the last rank_more. */
void rank_begin(struct rank *r, const float *y, int expected);

/* Appends some more to order, at least one unless all were given; returns how many. */
int rank_more(struct rank *r, const float *y);

/* A heap of candidates, the first in order on top. */
void rank_heapify(struct candidate *h, int n);
struct candidate rank_pop(struct candidate *h, int *n);

#endif

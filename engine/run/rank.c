/* Ordering candidates. Any pool thread, each with scratch of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/rank.h"

#include <math.h>
#include <string.h>

int rank_blocks(int n)
{
    return (n + RANK_BLOCK - 1) / RANK_BLOCK;
}

int rank_block_end(int n, int block)
{
    int end = (block + 1) * RANK_BLOCK;
    return end < n ? end : n;
}

float rank_block_max(const struct kernels *k, const float *x, int n, int block)
{
    int begin = block * RANK_BLOCK;
    return k->max(x + begin, (size_t)(rank_block_end(n, block) - begin));
}

float rank_peaks(struct rank *r, const float *x)
{
    int n = rank_blocks(r->n);
    for (int b = 0; b < n; b++)
        r->peaks[b] = rank_block_max(r->k, x, r->n, b);
    return r->k->max(r->peaks, (size_t)n);
}

int32_t rank_first(const struct rank *r, const float *x, float max)
{
    int block = 0;
    while (r->peaks[block] != max)
        block++;
    int32_t i = block * RANK_BLOCK;
    while (x[i] != max)
        i++;
    return i;
}

/* ---- the heap --------------------------------------------------------------- */

static bool before(struct candidate a, struct candidate b)
{
    return a.y > b.y || (a.y == b.y && a.id < b.id);
}

static void sift_down(struct candidate *h, int n, int i)
{
    struct candidate x = h[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(h[child + 1], h[child]))
            child++;
        if (!before(h[child], x))
            break;
        h[i] = h[child];
    }
    h[i] = x;
}

void rank_heapify(struct candidate *h, int n)
{
    for (int i = n / 2; i-- > 0;)
        sift_down(h, n, i);
}

struct candidate rank_pop(struct candidate *h, int *n)
{
    struct candidate top = h[0];
    h[0] = h[--*n];
    if (*n)
        sift_down(h, *n, 0);
    return top;
}

/* ---- in order --------------------------------------------------------------- */

/* The i-th largest peak (from 1): as many candidates or more are not below it. */
static float peak_of(struct rank *r, int i)
{
    int n = rank_blocks(r->n);
    if (i > n)
        return -INFINITY;
    for (int b = 0; b < n; b++)
        r->heap[b] = (struct candidate){r->peaks[b], b};
    rank_heapify(r->heap, n);
    while (--i > 0)
        rank_pop(r->heap, &n);
    return r->heap[0].y;
}

/* Candidates within [least, below) into the heap's memory; returns how many. */
static int gather(struct rank *r, const float *y, float least, float below)
{
    int n = 0;
    for (int b = 0; b < rank_blocks(r->n); b++) {
        if (r->peaks[b] < least)
            continue;
        for (int i = b * RANK_BLOCK, end = rank_block_end(r->n, b); i < end; i++)
            if (y[i] >= least && y[i] < below)
                r->heap[n++] = (struct candidate){y[i], i};
    }
    return n;
}

void rank_begin(struct rank *r, const float *y, int expected)
{
    r->n_order = r->n_sorted = 0;
    r->least = peak_of(r, expected);
    r->n_heap = gather(r, y, r->least, INFINITY);
    rank_heapify(r->heap, r->n_heap);
}

/* y is not positive: the smaller its magnitude, the sooner it comes. */
static uint32_t key_of(float y)
{
    uint32_t bits;
    memcpy(&bits, &y, sizeof bits);
    return bits & 0x7FFFFFFFu;
}

enum { RADIX_BITS = 11, RADIX = 1 << RADIX_BITS, PASSES = 3 };

/* Stable, from one array to the other. */
static void sort_pass(const struct candidate *from, struct candidate *to, int n, int pass)
{
    int begin[RADIX + 1] = {0};
    int shift = pass * RADIX_BITS;
    for (int i = 0; i < n; i++)
        begin[(key_of(from[i].y) >> shift & (RADIX - 1)) + 1]++;
    for (int d = 1; d < RADIX; d++)
        begin[d] += begin[d - 1];
    for (int i = 0; i < n; i++)
        to[begin[key_of(from[i].y) >> shift & (RADIX - 1)]++] = from[i];
}

/* All that were not looked at, behind those that were given. Three passes end there. */
static void sort_rest(struct rank *r, const float *y)
{
    struct candidate *to = r->order + r->n_order;
    int n = gather(r, y, -INFINITY, r->least);
    for (int pass = 0; pass < PASSES; pass++)
        if (pass % 2)
            sort_pass(to, r->heap, n, pass);
        else
            sort_pass(r->heap, to, n, pass);
    r->least = -INFINITY;
    r->n_sorted = n;
}

int rank_more(struct rank *r, const float *y)
{
    enum { SOME = 32 };
    int n = r->n_heap < SOME ? r->n_heap : SOME;
    for (int i = 0; i < n; i++)
        r->order[r->n_order + i] = rank_pop(r->heap, &r->n_heap);
    if (n == 0 && r->least > -INFINITY)
        sort_rest(r, y);
    if (n == 0) {
        n = r->n_sorted < RANK_BLOCK ? r->n_sorted : RANK_BLOCK;
        r->n_sorted -= n;
    }
    r->n_order += n;
    return n;
}

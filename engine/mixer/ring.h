/*
 * Keys and values of a layer with a sliding window, in the sequence's slot instead of
 * pages: as many pages as the window needs, of which position p takes page
 * p / PAGE_TOKENS mod n. Constant state, and read by the kernels like any pages, so that a
 * row has the bits that it has with whole pages.
 *
 * The ring holds RING_SPARE rows more than a window. A step stores at most as many before
 * it attends, and as many of the latest rows may be taken back: writing the next ones in
 * their places is all that this needs. What the rows behind the last one hold then depends
 * on what was taken back; ring_forget makes them zeros.
 *
 * Bound at open; any pool thread, each on its own rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_RING_H
#define ENGINE_MIXER_RING_H

#include "engine/mixer/mixer.h"

/* Wider windows keep whole pages. */
enum { RING_WINDOW_MAX = 1024, RING_SPARE = 64 };

/* Layout of a page's K/V of one layer: [n_heads][2: K, V][half_bytes], see kernel.h. */
struct kv_layout {
    enum engine_kv type;
    int n_heads, head_dim;
    size_t half_bytes; /* K or V of a head, up to the next line */
};

size_t kv_layout_page_bytes(const struct kv_layout *l);

struct ring {
    int window, n_pages;  /* n_pages 0: there is no ring */
    const int32_t *table; /* [2 * n_pages]: i mod n_pages */
    struct kv_layout layout;
};

/* A ring for the window, if it is one: window 0 is none. ERR_MEMORY. */
int ring_bind(struct ring *r, int window, const struct kv_layout *l, const struct bind *b,
              struct err *err);

size_t ring_bytes(const struct ring *r);

/* The page table from key *key0 on: a multiple of ATTN_BLOCK, at or before the first key
 * that position pos sees. It reaches to the end of pos's page. */
const int32_t *ring_table(const struct ring *r, int pos, int *key0);

/* The end of the `group`th rows of a span from pos on that are stored together: no row
 * that one of them sees is overwritten. Groups end with pages. */
int ring_group_end(int pos, int group);

/* Zeroes the rows of a sequence of `depth` tokens that no query from there on sees and
 * that may have been taken back. */
void ring_forget(const struct ring *r, char *ring, int depth);

#endif

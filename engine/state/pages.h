/*
 * Pages: K/V rows of PAGE_TOKENS tokens of every attention layer, reference-counted, from
 * one block sized at open. Engine thread only.
 *
 * A sequence reserves its worst case before it runs and takes pages one by one out of
 * that reservation, so taking never fails and nothing is preempted. Sequences share full
 * pages only, which are not written any more. A checkpoint may hold a page that one sequence
 * fills: rows are only ever added behind the checkpoint's own. A page that checkpoints
 * alone hold is idle: evicting them frees it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_PAGES_H
#define ENGINE_STATE_PAGES_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pages {
    char *base; /* owns; [n][page_bytes], 64-byte aligned */
    size_t page_bytes;
    int n, n_free, n_reserved;
    int n_idle;    /* held by checkpoints alone */
    int32_t *free; /* owns; stack of free pages */
    int32_t *refs; /* owns; [n] */
    int32_t *held; /* owns; [n] of refs, the checkpoints' */
};

/* ERR_MEMORY. n = 0 or page_bytes = 0 is a pool without pages. */
int pages_open(struct pages *p, int n, size_t page_bytes, struct err *err);
void pages_close(struct pages *p); /* accepts a zeroed struct */

bool pages_reserve(struct pages *p, int n); /* false: not that many left */
void pages_unreserve(struct pages *p, int n);

/* Out of the caller's reservation. Zeroed: pages leave the process in state objects, and
 * rows that were not written must not be another tenant's. */
int32_t pages_take(struct pages *p);
void pages_share(struct pages *p, int32_t page);
void pages_drop(struct pages *p, int32_t page); /* free with the last reference */
void pages_hold(struct pages *p, int32_t page); /* as share and drop, by a checkpoint */
void pages_let(struct pages *p, int32_t page);
void pages_copy(struct pages *p, int32_t to, int32_t from);
int pages_used(const struct pages *p); /* by sequences: neither free nor idle */
void pages_trim(struct pages *p);      /* gives memory back, if every page is free */

#endif

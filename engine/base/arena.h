/*
 * A lifetime: memory handed out in pieces and given back at once.
 *
 * Two kinds share one type. A growing arena (arena_init) takes blocks from mem_alloc as
 * it needs them. A fixed arena (arena_fixed) has one block, taken when it is made, and
 * answers NULL when it is full: a step's scratch is one. Not thread-safe; one owner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_ARENA_H
#define ENGINE_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *last; /* owns the chain of blocks */
    size_t used_bytes;        /* handed out, padding included */
    bool fixed;
};

void arena_init(struct arena *a);
bool arena_fixed(struct arena *a, size_t bytes); /* false: out of memory */
void arena_free(struct arena *a);                /* accepts a zeroed arena */

/* 64-byte aligned, uninitialised; NULL when memory or the fixed block is used up.
 * Valid until arena_release or arena_free. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t n, size_t size);

/* A copy of len bytes with a NUL after them. */
char *arena_strdup(struct arena *a, const char *s, size_t len);

/* A fixed arena as a stack: what was handed out since the mark is free again. */
size_t arena_mark(const struct arena *a);
void arena_release(struct arena *a, size_t mark);

#endif

/* Arenas: a chain of blocks, bump allocation. Runs on the thread of its owner.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/arena.h"

#include "engine/base/mem.h"

#include <stdint.h>
#include <string.h>

enum { ARENA_ALIGN = 64, ARENA_BLOCK = 64 << 10, ARENA_MOST = 32 << 20 };

struct arena_block {
    struct arena_block *prev; /* owns */
    size_t used, cap;
    _Alignas(ARENA_ALIGN) unsigned char data[];
};

static struct arena_block *block_new(size_t cap, struct arena_block *prev)
{
    if (cap > PTRDIFF_MAX - sizeof(struct arena_block) - ARENA_ALIGN)
        return NULL;
    struct arena_block *b = mem_alloc(sizeof *b + cap);
    if (b)
        *b = (struct arena_block){.prev = prev, .cap = cap};
    return b;
}

/* As much again as was handed out: many small pieces make few, large blocks. */
static size_t block_size(const struct arena *a, size_t need)
{
    size_t most = a->used_bytes < ARENA_MOST ? a->used_bytes : ARENA_MOST;
    size_t size = most > ARENA_BLOCK ? most : ARENA_BLOCK;
    return need > size ? need : size;
}

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

bool arena_fixed(struct arena *a, size_t bytes)
{
    *a = (struct arena){.fixed = true, .last = block_new(bytes, NULL)};
    return a->last != NULL;
}

void arena_free(struct arena *a)
{
    while (a->last) {
        struct arena_block *prev = a->last->prev;
        mem_free(a->last);
        a->last = prev;
    }
    a->used_bytes = 0;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > PTRDIFF_MAX - ARENA_ALIGN)
        return NULL;
    size_t need = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (!a->last || a->last->cap - a->last->used < need) {
        if (a->fixed)
            return NULL;
        struct arena_block *b = block_new(block_size(a, need), a->last);
        if (!b)
            return NULL;
        a->last = b;
    }
    void *p = a->last->data + a->last->used;
    a->last->used += need;
    a->used_bytes += need;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *p = arena_alloc(a, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

char *arena_strdup(struct arena *a, const char *s, size_t len)
{
    char *p = len < PTRDIFF_MAX ? arena_alloc(a, len + 1) : NULL;
    if (p) {
        memcpy(p, s, len);
        p[len] = '\0';
    }
    return p;
}

size_t arena_mark(const struct arena *a)
{
    return a->used_bytes;
}

void arena_release(struct arena *a, size_t mark)
{
    a->last->used = a->used_bytes = mark;
}

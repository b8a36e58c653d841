/* The page pool: a stack of free ids and two counts a page.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/pages.h"

#include "engine/base/mem.h"

#include <assert.h>
#include <string.h>

int pages_open(struct pages *p, int n, size_t page_bytes, struct err *err)
{
    *p = (struct pages){.page_bytes = page_bytes, .n = page_bytes ? n : 0};
    if (p->n == 0)
        return 0;
    p->base = mem_alloc((size_t)n * page_bytes);
    p->free = mem_alloc((size_t)n * sizeof *p->free);
    p->refs = mem_zalloc((size_t)n, sizeof *p->refs);
    p->held = mem_zalloc((size_t)n, sizeof *p->held);
    if (!p->base || !p->free || !p->refs || !p->held) {
        pages_close(p);
        return err_set(err, ERR_MEMORY, "out of memory for %d pages of %zu bytes", n,
                       page_bytes);
    }
    for (int i = 0; i < n; i++)
        p->free[i] = n - 1 - i;
    p->n_free = n;
    return 0;
}

void pages_close(struct pages *p)
{
    mem_free(p->base);
    mem_free(p->free);
    mem_free(p->refs);
    mem_free(p->held);
    *p = (struct pages){0};
}

bool pages_reserve(struct pages *p, int n)
{
    if (p->n_free - p->n_reserved < n)
        return false;
    p->n_reserved += n;
    return true;
}

void pages_unreserve(struct pages *p, int n)
{
    p->n_reserved -= n;
    assert(p->n_reserved >= 0);
}

static bool is_idle(const struct pages *p, int32_t page)
{
    return p->refs[page] > 0 && p->refs[page] == p->held[page];
}

static void count(struct pages *p, int32_t page, int refs, int held)
{
    p->n_idle -= is_idle(p, page);
    p->refs[page] += refs;
    p->held[page] += held;
    p->n_idle += is_idle(p, page);
    assert(p->held[page] >= 0 && p->held[page] <= p->refs[page]);
    if (p->refs[page] == 0)
        p->free[p->n_free++] = page;
}

int32_t pages_take(struct pages *p)
{
    assert(p->n_free > 0 && p->n_reserved > 0);
    int32_t page = p->free[--p->n_free];
    p->n_reserved--;
    p->refs[page] = 1;
    memset(p->base + (size_t)page * p->page_bytes, 0, p->page_bytes);
    return page;
}

void pages_share(struct pages *p, int32_t page)
{
    assert(p->refs[page] > 0);
    count(p, page, 1, 0);
}

void pages_drop(struct pages *p, int32_t page)
{
    assert(p->refs[page] > 0);
    count(p, page, -1, 0);
}

void pages_hold(struct pages *p, int32_t page)
{
    assert(p->refs[page] > 0);
    count(p, page, 1, 1);
}

void pages_let(struct pages *p, int32_t page)
{
    assert(p->refs[page] > 0);
    count(p, page, -1, -1);
}

void pages_copy(struct pages *p, int32_t to, int32_t from)
{
    memcpy(p->base + (size_t)to * p->page_bytes, p->base + (size_t)from * p->page_bytes,
           p->page_bytes);
}

int pages_used(const struct pages *p)
{
    return p->n - p->n_free - p->n_idle;
}

void pages_trim(struct pages *p)
{
    if (p->n && p->n_free == p->n)
        mem_forget(p->base, (size_t)p->n * p->page_bytes);
}

/* Places in a ring.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/ring.h"

#include <string.h>

_Static_assert(
    (int)RING_SPARE >= (int)ATTN_BLOCK,
    "a window that begins anywhere in a block fits in two rounds of the table");

size_t kv_layout_page_bytes(const struct kv_layout *l)
{
    return (size_t)l->n_heads * 2 * l->half_bytes;
}

int ring_bind(struct ring *r, int window, const struct kv_layout *l, const struct bind *b,
              struct err *err)
{
    *r = (struct ring){.window = window, .layout = *l};
    if (window == 0 || window > RING_WINDOW_MAX)
        return 0;
    int n = (window + RING_SPARE + PAGE_TOKENS - 1) / PAGE_TOKENS;
    int32_t *table = arena_alloc(b->arena, 2 * (size_t)n * sizeof *table);
    if (!table)
        return err_set(err, ERR_MEMORY, "out of memory for a window of %d", window);
    for (int i = 0; i < 2 * n; i++)
        table[i] = i % n;
    r->n_pages = n;
    r->table = table;
    return 0;
}

size_t ring_bytes(const struct ring *r)
{
    return (size_t)r->n_pages * kv_layout_page_bytes(&r->layout);
}

/* Blocks stay at absolute positions, for key0 is a multiple of theirs. From there to the
 * end of pos's page are no more pages than the ring has, and one. */
const int32_t *ring_table(const struct ring *r, int pos, int *key0)
{
    int first = pos + 1 > r->window ? pos + 1 - r->window : 0;
    *key0 = first / ATTN_BLOCK * ATTN_BLOCK;
    return r->table + *key0 / PAGE_TOKENS % r->n_pages;
}

int ring_group_end(int pos, int group)
{
    return (pos / PAGE_TOKENS + (group + 1) * (RING_SPARE / PAGE_TOKENS)) * PAGE_TOKENS;
}

/* ---- forgetting -------------------------------------------------------------- */

static void forget_values(const struct kv_layout *l, char *half, int token, bool keys)
{
    static const size_t width[ENGINE_KV_N] = {sizeof(float), sizeof(uint16_t), 1};
    size_t n = width[l->type], hd = (size_t)l->head_dim, t = (size_t)token;
    if (!keys)
        memset(half + t * hd * n, 0, hd * n);
    for (size_t d = 0; keys && d < hd; d++)
        memset(half + (d * PAGE_TOKENS + t) * n, 0, n);
}

static void forget_scales(const struct kv_layout *l, char *half, int token)
{
    size_t hd = (size_t)l->head_dim, groups = (hd + QUANT_GROUP - 1) / QUANT_GROUP;
    char *scales = half + hd * PAGE_TOKENS;
    for (size_t g = 0; l->type == ENGINE_KV_Q8 && g < groups; g++)
        memset(scales + (g * PAGE_TOKENS + (size_t)token) * sizeof(uint16_t), 0,
               sizeof(uint16_t));
}

static void forget_token(const struct kv_layout *l, char *page, int token)
{
    for (int half = 0; half < 2 * l->n_heads; half++, page += l->half_bytes) {
        forget_values(l, page, token, half % 2 == 0);
        forget_scales(l, page, token);
    }
}

void ring_forget(const struct ring *r, char *ring, int depth)
{
    int rows = r->n_pages * PAGE_TOKENS;
    size_t page_bytes = kv_layout_page_bytes(&r->layout);
    for (int pos = depth; pos <= depth + rows - r->window; pos++) {
        size_t page = (size_t)(pos / PAGE_TOKENS % r->n_pages);
        forget_token(&r->layout, ring + page * page_bytes, pos % PAGE_TOKENS);
    }
}

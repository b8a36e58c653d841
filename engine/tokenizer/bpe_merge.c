/*
 * A short piece is scanned for its best pair after each merge, which is fastest for the
 * usual word; a long piece keeps its pairs in a binary heap. Both merge the same pairs in
 * the same order. Runs on the encoding thread. The subtle point: a heap entry is stale,
 * and skipped, when its place no longer holds a pair of that rank.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/bpe_merge.h"

#include "engine/base/mem.h"

#include <string.h>

enum { SHORT_PIECE = 32 };

void bpe_merge_free(struct bpe_merge *m)
{
    mem_free(m->symbols);
    mem_free(m->heap);
    *m = (struct bpe_merge){0};
}

bool bpe_merge_add(struct bpe_merge *m, int32_t id)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 256;
        struct bpe_merge_symbol *s =
            cap < INT32_MAX ? mem_grow(m->symbols, m->n * sizeof *s, cap * sizeof *s)
                            : NULL;
        if (!s)
            return false;
        m->symbols = s;
        m->cap = cap;
    }
    m->symbols[m->n++].id = id;
    return true;
}

static int32_t rank_of(const struct bpe_merge *m, const struct vocab *v, int32_t left,
                       int32_t right)
{
    int32_t rank = map64_get(&v->merges, (uint64_t)(uint32_t)left << 32 | (uint32_t)right,
                             INT32_MAX);
    if (m->no_special && rank != INT32_MAX && vocab_special(v, v->merged[rank]))
        return INT32_MAX;
    return rank;
}

/* ---- short pieces ----------------------------------------------------------- */

static void rank_at(struct bpe_merge *m, const struct vocab *v, size_t i)
{
    struct bpe_merge_symbol *s = m->symbols;
    s[i].rank = i + 1 < m->n ? rank_of(m, v, s[i].id, s[i + 1].id) : INT32_MAX;
}

static void run_short(struct bpe_merge *m, const struct vocab *v)
{
    struct bpe_merge_symbol *s = m->symbols;
    for (size_t i = 0; i < m->n; i++)
        rank_at(m, v, i);
    while (m->n > 1) {
        size_t best = 0;
        for (size_t i = 1; i < m->n; i++)
            if (s[i].rank < s[best].rank)
                best = i;
        if (s[best].rank == INT32_MAX)
            return;
        s[best].id = v->merged[s[best].rank];
        m->n--;
        memmove(s + best + 1, s + best + 2, (m->n - best - 1) * sizeof *s);
        rank_at(m, v, best);
        if (best > 0)
            rank_at(m, v, best - 1);
    }
}

/* ---- long pieces ------------------------------------------------------------ */

static bool heap_push(struct bpe_merge *m, int32_t rank, int32_t place)
{
    if (m->n_heap == m->heap_cap) {
        size_t cap = m->heap_cap ? m->heap_cap * 2 : 1024;
        uint64_t *heap = mem_grow(m->heap, m->n_heap * sizeof *heap, cap * sizeof *heap);
        if (!heap)
            return false;
        m->heap = heap;
        m->heap_cap = cap;
    }
    uint64_t key = (uint64_t)(uint32_t)rank << 32 | (uint32_t)place;
    size_t i = m->n_heap++;
    for (; i > 0 && m->heap[(i - 1) / 2] > key; i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = key;
    return true;
}

static uint64_t heap_pop(struct bpe_merge *m)
{
    uint64_t top = m->heap[0], last = m->heap[--m->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= m->n_heap)
            break;
        if (child + 1 < m->n_heap && m->heap[child + 1] < m->heap[child])
            child++;
        if (m->heap[child] >= last)
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = last;
    return top;
}

static bool pair_at(struct bpe_merge *m, const struct vocab *v, int32_t i)
{
    struct bpe_merge_symbol *s = m->symbols;
    s[i].rank = s[i].next < 0 ? INT32_MAX : rank_of(m, v, s[i].id, s[s[i].next].id);
    return s[i].rank == INT32_MAX || heap_push(m, s[i].rank, i);
}

static bool join(struct bpe_merge *m, const struct vocab *v, int32_t i)
{
    struct bpe_merge_symbol *s = m->symbols;
    int32_t gone = s[i].next;
    s[i].id = v->merged[s[i].rank];
    s[i].next = s[gone].next;
    s[gone].id = -1;
    s[gone].rank = INT32_MAX;
    if (s[i].next >= 0)
        s[s[i].next].prev = i;
    return pair_at(m, v, i) && (s[i].prev < 0 || pair_at(m, v, s[i].prev));
}

static bool run_long(struct bpe_merge *m, const struct vocab *v)
{
    struct bpe_merge_symbol *s = m->symbols;
    int32_t n = (int32_t)m->n;
    m->n_heap = 0;
    for (int32_t i = 0; i < n; i++) {
        s[i].prev = i - 1;
        s[i].next = i + 1 < n ? i + 1 : -1;
    }
    for (int32_t i = 0; i < n; i++)
        if (!pair_at(m, v, i))
            return false;
    while (m->n_heap > 0) {
        uint64_t top = heap_pop(m);
        int32_t i = (int32_t)(uint32_t)top;
        if (s[i].rank == (int32_t)(top >> 32) && !join(m, v, i))
            return false;
    }
    m->n = 0;
    for (int32_t i = 0; i >= 0; i = s[i].next) {
        s[m->n].id = s[i].id;
        m->n++;
    }
    return true;
}

bool bpe_merge_run(struct bpe_merge *m, const struct vocab *v)
{
    if (m->n > SHORT_PIECE)
        return run_long(m, v);
    run_short(m, v);
    return true;
}

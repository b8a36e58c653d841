/* Order, look-up, and the merge.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/cache_index.h"

#include "engine/base/hash.h"
#include "engine/base/mem.h"

#include <string.h>

/* ---- entries ---------------------------------------------------------------- */

struct cache_group *cache_index_group(const char *path)
{
    size_t len = strlen(path);
    struct cache_group *g = mem_alloc(sizeof *g + len + 1);
    if (!g)
        return NULL;
    *g = (struct cache_group){.hash = hash_bytes(path, len), .n = 1};
    memcpy(g->path, path, len + 1);
    return g;
}

void cache_index_free_group(struct cache_group *g)
{
    if (--g->n == 0)
        mem_free(g);
}

struct cache_entry *cache_index_entry(struct cache_group *g, int depth, uint64_t hash)
{
    struct cache_entry *e = mem_alloc(sizeof *e);
    if (!e)
        return NULL;
    *e = (struct cache_entry){.group = g, .key = {g->hash, depth, hash}};
    g->n++;
    return e;
}

void cache_index_free_entry(struct cache_entry *e)
{
    cache_index_free_group(e->group);
    mem_free(e);
}

void cache_index_free(struct cache_index *x)
{
    for (size_t i = 0; i < x->n; i++)
        cache_index_free_entry(x->list[i].entry);
    mem_free(x->list);
    *x = (struct cache_index){0};
}

/* ---- order ------------------------------------------------------------------ */

static int compare(const struct cache_key *a, const struct cache_key *b)
{
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    return (a->hash > b->hash) - (a->hash < b->hash);
}

int cache_index_compare(const struct cache_entry *a, const struct cache_entry *b)
{
    return compare(&a->key, &b->key);
}

/* Where such a key is, or would be, among list[from..to). */
static size_t lower(const struct cache_index *x, size_t from, size_t to,
                    const struct cache_key *key)
{
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (compare(&x->list[mid].key, key) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static bool is_at(const struct cache_index *x, size_t i, const struct cache_key *key)
{
    return i < x->n && compare(&x->list[i].key, key) == 0;
}

/* ---- look-up ---------------------------------------------------------------- */

struct cache_entry *cache_index_get(const struct cache_index *x,
                                    const struct cache_key *key)
{
    size_t i = lower(x, 0, x->n, key);
    return is_at(x, i, key) ? x->list[i].entry : NULL;
}

/* The end of the run of one group and depth that begins at i: it is near. */
static size_t run_end(const struct cache_index *x, size_t i)
{
    struct cache_key next = {x->list[i].key.group, x->list[i].key.depth + 1, 0};
    size_t step = 1;
    while (i + step < x->n && compare(&x->list[i + step].key, &next) < 0)
        step *= 2;
    return lower(x, i, i + step < x->n ? i + step : x->n, &next);
}

/* One pass over the ids, from one depth of the group to the next. */
struct cache_entry *cache_index_deepest(const struct cache_index *x, uint64_t group,
                                        const int32_t *ids, int n, uint64_t kind)
{
    struct cache_entry *best = NULL;
    struct cache_key key = {.group = group};
    struct hash hash = {0};
    size_t i = lower(x, 0, x->n, &key);
    if (i == x->n || !hash_begin(&hash))
        return NULL;
    for (size_t end; i < x->n; i = end) {
        int depth = x->list[i].key.depth;
        if (x->list[i].key.group != group || depth > n)
            break;
        hash_put(&hash, ids + key.depth, (size_t)(depth - key.depth) * sizeof *ids);
        key.depth = depth;
        key.hash = hash_value(&hash) ^ kind;
        end = run_end(x, i);
        i = lower(x, i, end, &key);
        if (is_at(x, i, &key))
            best = x->list[i].entry;
    }
    hash_free(&hash);
    return best;
}

/* ---- changes ---------------------------------------------------------------- */

static bool reserve(struct cache_index *x)
{
    if (x->n < x->cap)
        return true;
    size_t cap = x->cap ? x->cap * 2 : 64;
    void *more = mem_grow(x->list, x->n * sizeof *x->list, cap * sizeof *x->list);
    if (!more)
        return false;
    x->list = more;
    x->cap = cap;
    return true;
}

bool cache_index_insert(struct cache_index *x, struct cache_entry *e)
{
    size_t i = lower(x, 0, x->n, &e->key);
    if (is_at(x, i, &e->key) || !reserve(x))
        return false;
    memmove(x->list + i + 1, x->list + i, (x->n - i) * sizeof *x->list);
    x->list[i] = (struct cache_slot){e->key, e};
    x->n++;
    return true;
}

void cache_index_take_out(struct cache_index *x, const struct cache_entry *e)
{
    size_t i = lower(x, 0, x->n, &e->key);
    if (i == x->n || x->list[i].entry != e) /* it is still being written */
        return;
    x->n--;
    memmove(x->list + i, x->list + i + 1, (x->n - i) * sizeof *x->list);
}

void cache_index_sweep(struct cache_index *x, const struct ledger_entry *evicted)
{
    if (!evicted)
        return;
    if (!evicted->next) {
        cache_index_take_out(x, HEAP_OF(evicted, const struct cache_entry, ledger));
        return;
    }
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++)
        if (x->list[i].entry->ledger.account)
            x->list[n++] = x->list[i];
    x->n = n;
}

/* Whether an entry that no walk found stays: it is another account's. */
static bool stays(struct ledger *l, const struct ledger_account *a, struct cache_entry *e)
{
    if (e->ledger.account != a)
        return true;
    ledger_leave(l, &e->ledger);
    cache_index_free_entry(e);
    return false;
}

/* Without memory it is not found until the next walk. */
static bool enters(struct ledger *l, struct ledger_account *a, struct cache_entry *e)
{
    if (ledger_enter(l, a, &e->ledger))
        return true;
    cache_index_free_entry(e);
    return false;
}

bool cache_index_merge(struct cache_index *x, struct ledger *l, struct ledger_account *a,
                       struct cache_entry **found, size_t n)
{
    size_t cap = x->n + n + 64, k = 0, i = 0, j = 0;
    struct cache_slot *list = mem_alloc(cap * sizeof *list);
    if (!list)
        return false;
    while (i < x->n || j < n) {
        int order = i == x->n ? 1
                    : j == n  ? -1
                              : compare(&x->list[i].key, &found[j]->key);
        list[k] = order <= 0 ? x->list[i] : (struct cache_slot){found[j]->key, found[j]};
        if (order < 0)
            k += stays(l, a, list[k].entry);
        else if (order > 0)
            k += enters(l, a, list[k].entry);
        else
            k++;
        if (order == 0)
            cache_index_free_entry(found[j]);
        i += order <= 0;
        j += order >= 0;
    }
    mem_free(x->list);
    *x = (struct cache_index){list, k, cap};
    return true;
}

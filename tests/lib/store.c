/* Hashes in the place of states.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/store.h"

#include "engine/base/hash.h"
#include "engine/state/prefix_tenant.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

size_t store_limit_of_a;

struct prefix_path store_path(const char *key, const int32_t *tokens, int n)
{
    size_t tenant = strcspn(key, "|"); /* written for the NUL */
    return (struct prefix_path){{key, strlen(key), tenant + 1},
                                tokens,
                                n,
                                tenant == 1 && *key == 'a' ? store_limit_of_a : 0};
}

void store_open(struct store *s, int n_slots, int n_pages, const struct prefix_options *o)
{
    struct prefix_options mine = *o;
    if (!mine.n_nodes)
        mine.n_nodes = prefix_nodes(n_slots, n_pages, STORE_MOST);
    assert_int_equal(slots_open(&s->slots, n_slots, STORE_SLOT, NULL), 0);
    assert_int_equal(pages_open(&s->pages, n_pages, n_pages ? STORE_PAGE : 0, NULL), 0);
    assert_int_equal(prefix_open(&s->prefix, &mine, &s->slots, &s->pages, NULL), 0);
}

void store_close(struct store *s)
{
    prefix_clear(&s->prefix);
    assert_int_equal(s->prefix.n, 0);
    assert_int_equal(s->slots.n_free, s->slots.n);
    assert_int_equal(s->pages.n_free, s->pages.n);
    assert_int_equal(s->pages.n_reserved, 0);
    assert_int_equal(s->pages.n_idle, 0);
    prefix_close(&s->prefix);
    pages_close(&s->pages);
    slots_close(&s->slots);
}

static uint64_t mark_of(const int32_t *tokens, int n)
{
    return hash_bytes(tokens, (size_t)n * sizeof *tokens);
}

static uint64_t *row_at(struct store *s, int32_t page, int row)
{
    return (uint64_t *)(void *)(s->pages.base + (size_t)page * STORE_PAGE) + row;
}

void store_run(struct store *s, struct mark *q, int32_t token)
{
    int page = q->n / PAGE_TOKENS, row = q->n % PAGE_TOKENS;
    if (row == 0 && s->pages.page_bytes) {
        assert_true(pages_reserve(&s->pages, 1));
        q->table[q->n_pages++] = pages_take(&s->pages);
    }
    q->tokens[q->n++] = token;
    uint64_t x = mark_of(q->tokens, q->n);
    memcpy(slots_at(&s->slots, q->slot), &x, sizeof x);
    if (s->pages.page_bytes)
        *row_at(s, q->table[page], row) = x;
}

void store_expect(struct store *s, int32_t slot, const int32_t *table,
                  const int32_t *tokens, int n)
{
    uint64_t x = mark_of(tokens, n);
    if (slot >= 0)
        assert_memory_equal(slots_at(&s->slots, slot), &x, sizeof x);
    for (int i = 0; s->pages.page_bytes && i < n; i++)
        assert_true(*row_at(s, table[i / PAGE_TOKENS], i % PAGE_TOKENS) ==
                    mark_of(tokens, i + 1));
}

void store_begin(struct store *s, struct mark *q, const struct prefix_path *path)
{
    struct prefix_match m = {.slot = -1};
    prefix_find(&s->prefix, path, &m);
    *q = (struct mark){.n = m.depth, .slot = -1};
    memcpy(q->tokens, path->tokens, (size_t)m.depth * sizeof *q->tokens);
    int n = s->pages.page_bytes ? (m.depth + PAGE_TOKENS - 1) / PAGE_TOKENS : 0;
    if (m.depth)
        radix_table(&s->prefix.radix, m.node, q->table);
    for (; q->n_pages < n; q->n_pages++)
        pages_share(&s->pages, q->table[q->n_pages]);
    assert_true(prefix_room(&s->prefix, 1, s->pages.n > 0, m.slot));
    if (m.depth) {
        store_expect(s, m.slot, q->table, q->tokens, q->n);
        prefix_hit(&s->prefix, &m);
    }
    q->slot = m.slot >= 0 ? slots_dup(&s->slots, m.slot) : slots_take(&s->slots);
    if (n && m.depth % PAGE_TOKENS) {
        assert_true(pages_reserve(&s->pages, 1));
        int32_t own = pages_take(&s->pages);
        pages_copy(&s->pages, own, q->table[n - 1]);
        pages_drop(&s->pages, q->table[n - 1]);
        q->table[n - 1] = own;
    }
}

void store_end(struct store *s, struct mark *q)
{
    for (int i = 0; i < q->n_pages; i++)
        pages_drop(&s->pages, q->table[i]);
    if (q->slot >= 0)
        slots_drop(&s->slots, q->slot);
}

void store_keep(struct store *s, const struct mark *q, const char *key,
                enum prefix_kind kind)
{
    struct prefix_path path = store_path(key, q->tokens, q->n);
    prefix_insert_copy(&s->prefix, &path, kind, q->slot, q->table);
}

void store_give(struct store *s, struct mark *q, const char *key)
{
    struct prefix_path path = store_path(key, q->tokens, q->n);
    if (prefix_adopt(&s->prefix, &path, PREFIX_ANSWER, q->slot, q->table))
        q->slot = -1;
}

int store_tell(struct store *s, const char *key, const int32_t *tokens, int n, int cut)
{
    struct prefix_path path = store_path(key, tokens, n);
    struct mark q;
    store_begin(s, &q, &path);
    int found = q.n;
    while (q.n < n) {
        store_run(s, &q, tokens[q.n]);
        if (q.n == cut)
            store_keep(s, &q, key, PREFIX_JUNCTION);
    }
    store_give(s, &q, key);
    store_end(s, &q);
    prefix_trim(&s->prefix);
    return found;
}

int store_depth(const struct store *s, const char *key, const int32_t *tokens, int n)
{
    struct prefix_path path = store_path(key, tokens, n);
    struct prefix_match m;
    prefix_find(&s->prefix, &path, &m);
    return m.depth;
}

void store_count_up(int32_t *tokens, int n, int from)
{
    for (int i = 0; i < n; i++)
        tokens[i] = from + i;
}

size_t store_bytes(const struct store *s, const char *tenant)
{
    const struct prefix *p = &s->prefix;
    static bool seen[STORE_PAGES];
    size_t bytes = 0, len = strlen(tenant) + 1; /* with what is written for the NUL */
    memset(seen, 0, sizeof seen);
    for (int32_t i = 0; i < p->slots->n; i++) {
        int32_t at = p->checkpoints[i].node;
        struct radix_key key = {0};
        if (at >= 0)
            key = radix_key_of(&p->radix, at);
        if (key.tenant_len != len || memcmp(key.bytes, tenant, len - 1) != 0)
            continue;
        bytes += STORE_SLOT;
        for (; at >= 0; at = p->radix.nodes[at].parent) {
            int32_t page = p->radix.nodes[at].page;
            bytes += page >= 0 && !seen[page] ? STORE_PAGE : 0;
            if (page >= 0)
                seen[page] = true;
        }
    }
    return bytes;
}

void store_expect_tenants(const struct store *s)
{
    const struct prefix *p = &s->prefix;
    size_t counted = 0;
    int n = 0;
    for (int i = 0; i < p->n_tenants; i++) {
        const struct prefix_tenant *t = &p->tenants[i];
        counted += (size_t)t->n * STORE_SLOT + (size_t)t->n_pages * p->pages->page_bytes;
        n += t->n;
    }
    assert_int_equal(n, p->n);
    size_t a = store_bytes(s, "a");
    assert_int_equal(counted, a + store_bytes(s, "b"));
    assert_true(!store_limit_of_a || a <= store_limit_of_a);
}

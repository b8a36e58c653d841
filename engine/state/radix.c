/* Nodes, their buckets, and paths. Every node is in one of three places: free, in a
 * bucket under its parent, or a root.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/radix.h"

#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/state/radix_ghosts.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

enum { NONE = -1 };

/* ---- opening ---------------------------------------------------------------- */

static int bits_for(int n)
{
    int bits = 4;
    while (bits < 30 && 1 << bits < n)
        bits++;
    return bits;
}

int radix_open(struct radix *x, int n_nodes, int n_roots, struct pages *pages,
               struct err *err)
{
    *x = (struct radix){.pages = pages,
                        .n_nodes = n_nodes,
                        .n_roots = n_roots,
                        .bits = bits_for(n_nodes),
                        .free = NONE,
                        .free_root = NONE,
                        .oldest = NONE,
                        .newest = NONE};
    size_t n_buckets = (size_t)1 << x->bits;
    x->nodes = mem_alloc((size_t)n_nodes * sizeof *x->nodes);
    x->roots = mem_alloc((size_t)n_roots * sizeof *x->roots);
    x->buckets = mem_alloc(n_buckets * sizeof *x->buckets);
    if (!x->nodes || !x->roots || !x->buckets) {
        radix_close(x);
        return err_set(err, ERR_MEMORY, "out of memory for %d nodes of stored prefixes",
                       n_nodes);
    }
    memset(x->buckets, 0xFF, n_buckets * sizeof *x->buckets);
    for (int32_t i = n_nodes; i-- > 0; x->free = i)
        x->nodes[i].chain = x->free;
    for (int32_t i = n_roots; i-- > 0; x->free_root = i)
        x->roots[i] = (struct radix_root){.node = NONE, .next = x->free_root};
    return 0;
}

void radix_close(struct radix *x)
{
    mem_free(x->nodes);
    mem_free(x->roots);
    mem_free(x->buckets);
    *x = (struct radix){0};
}

size_t radix_node_bytes(void)
{
    return sizeof(struct radix_node) + 2 * sizeof(int32_t); /* buckets: a power of two */
}

size_t radix_root_bytes(void)
{
    return sizeof(struct radix_root);
}

/* ---- children --------------------------------------------------------------- */

static int32_t *bucket(const struct radix *x, uint64_t key)
{
    key = (key ^ key >> 29) * 0x9E3779B97F4A7C15u;
    return &x->buckets[key >> (64 - x->bits)];
}

static int32_t *bucket_of(const struct radix *x, int32_t parent, int32_t token)
{
    return bucket(x, (uint64_t)(uint32_t)parent << 32 | (uint32_t)token);
}

static void leave_bucket(struct radix *x, int32_t *at, int32_t node)
{
    while (*at != node)
        at = &x->nodes[*at].chain;
    *at = x->nodes[node].chain;
}

int32_t radix_child(const struct radix *x, int32_t node, int32_t token)
{
    int32_t at = *bucket_of(x, node, token);
    while (at != NONE && (x->nodes[at].parent != node || x->nodes[at].tokens[0] != token))
        at = x->nodes[at].chain;
    return at;
}

int radix_match(const struct radix *x, int32_t node, const int32_t *tokens, int n)
{
    const struct radix_node *d = &x->nodes[node];
    int most = n < d->n ? n : d->n, k = 0;
    while (k < most && d->tokens[k] == tokens[k])
        k++;
    return k;
}

static void link_child(struct radix *x, int32_t parent, int32_t child)
{
    struct radix_node *c = &x->nodes[child];
    int32_t *head = bucket_of(x, parent, c->tokens[0]);
    int32_t next = x->nodes[parent].first;
    c->parent = parent;
    c->chain = *head;
    *head = child;
    c->next = next;
    c->prev = NONE;
    if (next != NONE)
        x->nodes[next].prev = child;
    x->nodes[parent].first = child;
}

static void unlink_child(struct radix *x, int32_t child)
{
    struct radix_node *c = &x->nodes[child];
    leave_bucket(x, bucket_of(x, c->parent, c->tokens[0]), child);
    *(c->prev != NONE ? &x->nodes[c->prev].next : &x->nodes[c->parent].first) = c->next;
    if (c->next != NONE)
        x->nodes[c->next].prev = c->prev;
}

int32_t radix_next(const struct radix *x, int32_t top, int32_t at, bool below)
{
    if (below && x->nodes[at].first != NONE)
        return x->nodes[at].first;
    while (at != top && x->nodes[at].next == NONE)
        at = x->nodes[at].parent;
    return at == top ? NONE : x->nodes[at].next;
}

/* ---- nodes ------------------------------------------------------------------ */

static void reclaim_oldest(struct radix *x)
{
    int32_t node = x->oldest;
    struct radix_node *d = &x->nodes[node];
    assert(d->page == NONE && d->slot == NONE);
    radix_ghosts_remove(x, node);
    if (d->parent < 0) {
        struct radix_root *r = &x->roots[-1 - d->parent];
        leave_bucket(x, bucket(x, r->hash), node);
        r->node = NONE;
        r->next = x->free_root;
        x->free_root = -1 - d->parent;
    } else {
        int32_t parent = d->parent;
        unlink_child(x, node);
        radix_ghosts_add_oldest(x, parent);
    }
    d->chain = x->free;
    x->free = node;
}

static int32_t take_node(struct radix *x)
{
    if (x->free == NONE && x->oldest != NONE)
        reclaim_oldest(x);
    int32_t node = x->free;
    if (node == NONE)
        return NONE;
    x->free = x->nodes[node].chain;
    x->nodes[node] = (struct radix_node){.page = NONE,
                                         .slot = NONE,
                                         .first = NONE,
                                         .next = NONE,
                                         .prev = NONE,
                                         .chain = NONE};
    return node;
}

static void pin_one(struct radix *x, int32_t node)
{
    if (x->nodes[node].live++ == 0)
        radix_ghosts_remove(x, node);
}

/* Returns 1 when no node holds the page any more, else 0. */
static int let(struct radix *x, int32_t page)
{
    pages_let(x->pages, page);
    return x->pages->held[page] == 0;
}

/* Returns how many pages less the tree holds. */
static int unpin_one(struct radix *x, int32_t node)
{
    struct radix_node *d = &x->nodes[node];
    int n = 0;
    assert(d->live > 0);
    if (--d->live)
        return 0;
    if (d->page != NONE)
        n = let(x, d->page);
    d->page = NONE;
    radix_ghosts_add_newest(x, node);
    return n;
}

/* ---- roots ------------------------------------------------------------------ */

int32_t radix_find_root(const struct radix *x, const struct radix_key *key)
{
    uint64_t hash = hash_bytes(key->bytes, key->len);
    int32_t at = *bucket(x, hash);
    for (; at != NONE; at = x->nodes[at].chain) {
        int32_t parent = x->nodes[at].parent;
        const struct radix_root *r = &x->roots[parent < 0 ? -1 - parent : 0];
        if (parent < 0 && r->hash == hash && r->len == key->len &&
            memcmp(r->key, key->bytes, key->len) == 0)
            break;
    }
    return at;
}

static int32_t make_root(struct radix *x, const struct radix_key *key)
{
    assert(key->len <= RADIX_KEY_BYTES);
    while (x->free_root == NONE && x->oldest != NONE)
        reclaim_oldest(x); /* a root that is not live hangs on ghosts alone */
    int32_t node = x->free_root != NONE ? take_node(x) : NONE;
    if (node == NONE)
        return NONE;
    int32_t i = x->free_root;
    struct radix_root *r = &x->roots[i];
    x->free_root = r->next;
    r->node = node;
    r->len = key->len;
    r->tenant_len = key->tenant_len;
    r->hash = hash_bytes(key->bytes, key->len);
    memcpy(r->key, key->bytes, key->len);
    int32_t *head = bucket(x, r->hash);
    x->nodes[node].parent = -1 - i;
    x->nodes[node].chain = *head;
    *head = node;
    return node;
}

/* ---- paths ------------------------------------------------------------------ */

/* A new child of a pinned node, with as many tokens as its page has room for. */
static int32_t add_child(struct radix *x, int32_t parent, const int32_t *tokens, int n)
{
    int32_t node = take_node(x);
    if (node == NONE)
        return NONE;
    struct radix_node *d = &x->nodes[node];
    d->start = x->nodes[parent].start + x->nodes[parent].n;
    int room = PAGE_TOKENS - d->start % PAGE_TOKENS;
    d->n = n < room ? n : room;
    memcpy(d->tokens, tokens, (size_t)d->n * sizeof *tokens);
    link_child(x, parent, node);
    return node;
}

/* Cuts a node after k tokens; the new upper half is answered, the lower one stays what it
 * was to its checkpoint and its children. */
static int32_t split(struct radix *x, int32_t node, int k)
{
    pin_one(x, node); /* a ghost must not be taken back for its own half */
    int32_t upper = take_node(x);
    if (upper == NONE) {
        unpin_one(x, node);
        return NONE;
    }
    struct radix_node *d = &x->nodes[node], *u = &x->nodes[upper];
    int32_t parent = d->parent;
    unlink_child(x, node);
    memcpy(u->tokens, d->tokens, (size_t)k * sizeof *d->tokens);
    u->n = k;
    u->start = d->start;
    u->live = d->live;
    u->page = d->page;
    if (u->page != NONE)
        pages_hold(x->pages, u->page);
    link_child(x, parent, upper);
    d->n -= k;
    d->start += k;
    memmove(d->tokens, d->tokens + k, (size_t)d->n * sizeof *d->tokens);
    link_child(x, upper, node);
    unpin_one(x, node);
    unpin_one(x, upper);
    return upper;
}

/* The node below `at` that begins tokens[0..n) and is no longer than they are. */
static int32_t next_of(struct radix *x, int32_t at, const int32_t *tokens, int n)
{
    int32_t next = radix_child(x, at, tokens[0]);
    if (next == NONE)
        return add_child(x, at, tokens, n);
    int k = radix_match(x, next, tokens, n);
    return k < x->nodes[next].n ? split(x, next, k) : next;
}

int32_t radix_pin(struct radix *x, const struct radix_key *key, const int32_t *tokens,
                  int n)
{
    int32_t at = radix_find_root(x, key);
    if (at == NONE)
        at = make_root(x, key);
    if (at == NONE)
        return NONE;
    pin_one(x, at);
    for (int depth = 0; depth < n; depth += x->nodes[at].n) {
        int32_t next = next_of(x, at, tokens + depth, n - depth);
        if (next == NONE) {
            radix_unpin(x, at);
            return NONE;
        }
        pin_one(x, next);
        at = next;
    }
    return at;
}

int radix_attach(struct radix *x, int32_t node, const int32_t *table)
{
    struct radix_node *d = &x->nodes[node];
    int fresh = NONE; /* place in the table of what the node below was given */
    int n = 0;
    if (x->pages->page_bytes == 0)
        return 0;
    for (; d->parent >= 0; d = &x->nodes[d->parent]) {
        int i = d->start / PAGE_TOKENS;
        int32_t old = d->page;
        if (old != NONE && i != fresh)
            break;
        d->page = table[fresh = i];
        n += x->pages->held[d->page] == 0;
        pages_hold(x->pages, d->page);
        if (old != NONE)
            n -= let(x, old);
    }
    return n;
}

int radix_unpin(struct radix *x, int32_t node)
{
    int n = 0;
    for (int32_t parent; node >= 0; node = parent) {
        parent = x->nodes[node].parent;
        n += unpin_one(x, node);
    }
    return n;
}

void radix_table(const struct radix *x, int32_t node, int32_t *table)
{
    int last = INT_MAX;
    for (; x->nodes[node].parent >= 0; node = x->nodes[node].parent) {
        int i = x->nodes[node].start / PAGE_TOKENS;
        if (i < last)
            table[last = i] = x->nodes[node].page;
    }
}

/* ---- paths back ------------------------------------------------------------- */

void radix_path(const struct radix *x, int32_t node, int32_t *tokens)
{
    for (int32_t at = node; x->nodes[at].parent >= 0; at = x->nodes[at].parent)
        memcpy(tokens + x->nodes[at].start, x->nodes[at].tokens,
               (size_t)x->nodes[at].n * sizeof *tokens);
}

struct radix_key radix_key_of(const struct radix *x, int32_t node)
{
    while (x->nodes[node].parent >= 0)
        node = x->nodes[node].parent;
    const struct radix_root *r = &x->roots[-1 - x->nodes[node].parent];
    return (struct radix_key){r->key, r->len, r->tenant_len};
}

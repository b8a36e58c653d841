/* The prefix cache: looking up a prompt, making room, inserting checkpoints.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/prefix.h"

#include "engine/base/mem.h"
#include "engine/state/prefix_order.h"
#include "engine/state/prefix_tenant.h"

#include <math.h>
#include <string.h>

enum {
    NONE = -1,
    MOST_ROOTS = 1024,  /* salts that have checkpoints at a time */
    SPARE_NODES = 4,    /* a slot */
    UNPAGED_NODES = 32, /* a slot, where no page pays for them */
    MOST_ELSEWHERE = 64 /* salts that are looked at for the counters */
};

/* ---- opening ---------------------------------------------------------------- */

int prefix_open(struct prefix *p, const struct prefix_options *o, struct slots *slots,
                struct pages *pages, struct err *err)
{
    *p = (struct prefix){.slots = slots,
                         .pages = pages,
                         .cap_bytes = o->cap_bytes ? o->cap_bytes : SIZE_MAX,
                         .any_depth = o->any_depth};
    p->checkpoints = mem_alloc((size_t)slots->n * sizeof *p->checkpoints);
    if (!p->checkpoints || !prefix_order_open(p) || !prefix_tenant_open(p)) {
        prefix_close(p);
        return err_set(err, ERR_MEMORY, "out of memory for %d checkpoints", slots->n);
    }
    for (int i = 0; i < slots->n; i++)
        p->checkpoints[i] = (struct checkpoint){.node = NONE};
    int n_roots = slots->n < MOST_ROOTS ? slots->n + 1 : MOST_ROOTS;
    int rc =
        radix_open(&p->radix, o->n_nodes, o->n_roots ? o->n_roots : n_roots, pages, err);
    if (rc)
        prefix_close(p);
    return rc;
}

void prefix_close(struct prefix *p)
{
    if (p->radix.nodes)
        prefix_clear(p);
    radix_close(&p->radix);
    heap_free(&p->order);
    prefix_tenant_close(p);
    mem_free(p->checkpoints);
    *p = (struct prefix){0};
}

/* Beside a node a page, or paths of some length where there are no pages: cuts at
 * checkpoints and junctions, and two paths of ghosts. */
static int slot_nodes(bool paged)
{
    return paged ? SPARE_NODES : SPARE_NODES + UNPAGED_NODES;
}

static int fixed_nodes(int context)
{
    return 2 * (context / PAGE_TOKENS + 2);
}

int prefix_nodes(int n_slots, int n_pages, int context)
{
    int64_t n = (int64_t)slot_nodes(n_pages > 0) * n_slots + n_pages;
    n += fixed_nodes(context);
    return n < INT32_MAX / 2 ? (int)n : INT32_MAX / 2;
}

size_t prefix_slot_bytes(bool paged)
{
    return sizeof(struct checkpoint) + sizeof(struct heap_node *) +
           sizeof(struct prefix_tenant) + radix_root_bytes() +
           (size_t)slot_nodes(paged) * radix_node_bytes();
}

size_t prefix_page_bytes(void)
{
    return radix_node_bytes();
}

size_t prefix_fixed_bytes(int context)
{
    return radix_root_bytes() + (size_t)fixed_nodes(context) * radix_node_bytes();
}

/* ---- finding ---------------------------------------------------------------- */

struct walk {
    const struct prefix *p;
    const struct prefix_path *path;
    struct prefix_match *m;
};

/* Takes note of the node's first k tokens, which belong to the path. */
static void pass(const struct walk *w, int32_t at, int k)
{
    const struct radix_node *d = &w->p->radix.nodes[at];
    struct prefix_match *m = w->m;
    m->last = at;
    m->n_in_last = k;
    m->known += k;
    if (w->p->any_depth && d->live) {
        m->depth = m->known;
        m->node = at;
        m->slot = NONE;
    }
    if (k < d->n)
        return;
    if (d->slot != NONE) {
        m->depth = m->known;
        m->node = at;
        m->slot = d->slot;
    } else if (d->evicted)
        m->evicted = m->known;
}

static void follow(const struct walk *w, int32_t root)
{
    const struct radix *x = &w->p->radix;
    const struct prefix_path *path = w->path;
    w->m->last = root;
    for (int32_t at = root, k; w->m->known < path->n; at = w->m->last) {
        const int32_t *rest = path->tokens + w->m->known;
        int32_t next = radix_child(x, at, rest[0]);
        if (next == NONE)
            return;
        k = radix_match(x, next, rest, path->n - w->m->known);
        pass(w, next, k);
        if (k < x->nodes[next].n)
            return;
    }
}

static const struct prefix_match no_match = {.node = NONE, .slot = NONE, .last = NONE};

void prefix_find(const struct prefix *p, const struct prefix_path *path,
                 struct prefix_match *m)
{
    int32_t root = radix_find_root(&p->radix, &path->key);
    *m = no_match;
    if (root == NONE)
        return;
    follow(&(struct walk){p, path, m}, root);
    if (m->depth && m->depth == path->n && m->slot == NONE)
        m->depth--; /* without its last row there is nothing to sample from */
    if (m->evicted <= m->depth)
        m->evicted = 0;
}

int prefix_elsewhere(const struct prefix *p, const struct prefix_path *path)
{
    const struct radix *x = &p->radix;
    const struct radix_key *key = &path->key;
    int depth = 0, left = MOST_ELSEWHERE;
    for (int i = 0; i < x->n_roots && left > 0; i++) {
        const struct radix_root *r = &x->roots[i];
        if (r->node == NONE || r->tenant_len != key->tenant_len ||
            memcmp(r->key, key->bytes, key->tenant_len) != 0 ||
            (r->len == key->len && memcmp(r->key, key->bytes, key->len) == 0))
            continue;
        struct prefix_match m = no_match;
        follow(&(struct walk){p, path, &m}, r->node);
        depth = m.depth > depth ? m.depth : depth;
        left--;
    }
    return depth;
}

int prefix_beyond(const struct prefix *p, const struct prefix_match *m, int32_t *out,
                  int cap)
{
    const struct radix *x = &p->radix;
    int n = 0, skip = m->n_in_last;
    for (int32_t at = m->last; at != NONE && n < cap; at = x->nodes[at].first) {
        for (int i = skip; i < x->nodes[at].n && n < cap; i++)
            out[n++] = x->nodes[at].tokens[i];
        skip = 0;
    }
    return n;
}

void prefix_hit(struct prefix *p, const struct prefix_match *m)
{
    p->counts.hits++;
    if (m->slot == NONE || p->checkpoints[m->slot].node == NONE)
        return; /* no checkpoint, or one that the sequence took over */
    p->checkpoints[m->slot].n_hits++;
    prefix_order_use(p, m->slot);
}

/* ---- bytes, and eviction ---------------------------------------------------- */

size_t prefix_used_bytes(const struct prefix *p)
{
    return (size_t)p->n * p->slots->slot_bytes +
           (size_t)p->pages->n_idle * p->pages->page_bytes;
}

size_t prefix_state_bytes(const struct prefix *p, int depth)
{
    size_t n_pages = (size_t)(depth + PAGE_TOKENS - 1) / PAGE_TOKENS;
    return p->slots->slot_bytes + n_pages * p->pages->page_bytes;
}

int32_t prefix_persist_next(const struct prefix *p, bool all)
{
    int32_t best = NONE;
    for (int32_t i = 0; p->n && i < p->slots->n; i++) {
        const struct checkpoint *c = &p->checkpoints[i];
        if (c->node == NONE || c->persisted ||
            (c->n_hits == 0 && !(all && prefix_order_is_likely(c->kind))))
            continue;
        if (best == NONE || prefix_order_before(&p->checkpoints[best], c))
            best = i;
    }
    return best;
}

static void forget(struct prefix *p, int32_t slot)
{
    int32_t node = p->checkpoints[slot].node;
    p->radix.nodes[node].slot = NONE;
    p->n--;
    prefix_order_leave(p, slot);
    prefix_tenant_leave(p, slot, radix_unpin(&p->radix, node));
    prefix_order_refresh(p, p->checkpoints[slot].above);
}

/* False: there is nothing to evict. */
static bool evict(struct prefix *p, int32_t slot)
{
    if (slot == NONE)
        return false;
    p->inflation = fmax(p->inflation, p->checkpoints[slot].priority);
    p->radix.nodes[p->checkpoints[slot].node].evicted = true;
    forget(p, slot);
    slots_drop(p->slots, slot);
    p->counts.evicted++;
    return true;
}

static bool evict_one(struct prefix *p)
{
    return evict(p, prefix_order_first(p));
}

void prefix_trim(struct prefix *p)
{
    while (prefix_used_bytes(p) > p->cap_bytes && evict_one(p))
        ;
}

void prefix_clear(struct prefix *p)
{
    while (evict_one(p))
        ;
}

static int free_pages(const struct pages *p)
{
    return p->n_free - p->n_reserved;
}

/* Idle pages that the path of a checkpoint holds. */
static int idle_with(const struct prefix *p, int32_t slot)
{
    const struct pages *pages = p->pages;
    int32_t at = slot == NONE ? NONE : p->checkpoints[slot].node, last = NONE;
    int n = 0;
    for (; at >= 0; at = p->radix.nodes[at].parent) {
        int32_t page = p->radix.nodes[at].page;
        n += page != NONE && page != last && pages->refs[page] == pages->held[page];
        last = page;
    }
    return n;
}

bool prefix_room(struct prefix *p, int n_slots, int n_pages, int32_t exempt)
{
    int others = p->n - (exempt != NONE), idle = p->pages->n_idle - idle_with(p, exempt);
    if (p->slots->n_free + others < n_slots || free_pages(p->pages) + idle < n_pages)
        return false;
    prefix_order_exempt(p, exempt, true);
    while ((p->slots->n_free < n_slots || free_pages(p->pages) < n_pages) && evict_one(p))
        ;
    prefix_order_exempt(p, exempt, false);
    return p->slots->n_free >= n_slots && free_pages(p->pages) >= n_pages;
}

void prefix_free_page(struct prefix *p, int32_t page)
{
    while (p->pages->held[page] > 0 && evict_one(p))
        ;
}

void prefix_detach(struct prefix *p, int32_t slot)
{
    forget(p, slot);
}

/* ---- inserting -------------------------------------------------------------- */

static bool is_over_cap(const struct prefix *p)
{
    return prefix_used_bytes(p) + p->slots->slot_bytes > p->cap_bytes;
}

bool prefix_full(const struct prefix *p)
{
    return p->slots->n_free == 0 || is_over_cap(p);
}

static bool is_at_limit(const struct prefix *p, const struct prefix_path *path)
{
    return prefix_tenant_exceeds(p, path, p->slots->slot_bytes);
}

/* Evicts for a checkpoint of this path: the tenant's own while it is at its limit. */
static bool evict_for(struct prefix *p, const struct prefix_path *path)
{
    bool own = is_at_limit(p, path);
    return evict(p, own ? prefix_tenant_first(p, path) : prefix_order_first(p));
}

static void unpin(struct prefix *p, const struct prefix_path *path, int32_t node)
{
    prefix_tenant_give_up(p, &path->key, radix_unpin(&p->radix, node));
}

/* The pinned end of the path; -1: a checkpoint is there already, or there is no node. */
static int32_t pin_end(struct prefix *p, const struct prefix_path *path)
{
    struct radix *x = &p->radix;
    int32_t node = radix_pin(x, &path->key, path->tokens, path->n);
    while (node == NONE && evict_for(p, path))
        node = radix_pin(x, &path->key, path->tokens, path->n);
    if (node == NONE || x->nodes[node].slot == NONE)
        return node;
    int32_t slot = x->nodes[node].slot;
    unpin(p, path, node);
    prefix_order_use(p, slot);
    return NONE;
}

/* The same with room for one checkpoint more. */
static int32_t claim(struct prefix *p, const struct prefix_path *path,
                     bool (*lacks_room)(const struct prefix *p))
{
    if (path->limit_bytes && prefix_state_bytes(p, path->n) > path->limit_bytes)
        return NONE;
    int32_t node = pin_end(p, path);
    while (node != NONE && (is_at_limit(p, path) || lacks_room(p)))
        if (!evict_for(p, path)) {
            unpin(p, path, node);
            return NONE;
        }
    return node;
}

static bool has_one_child(const struct radix *x, int32_t node)
{
    int32_t child = x->nodes[node].first;
    return child != NONE && x->nodes[child].next == NONE;
}

/* The conversation goes on from its new end: the end of its last answer is wanted again
 * only by a branch. */
static void pass_on(struct prefix *p, const struct checkpoint *c)
{
    for (int32_t at = c->above; at != NONE; at = p->checkpoints[at].above) {
        struct checkpoint *d = &p->checkpoints[at];
        if (d->kind != PREFIX_ANSWER)
            continue;
        if (d->n_hits <= 1 && has_one_child(&p->radix, d->node)) {
            d->kind = PREFIX_PASSED;
            prefix_order_refresh(p, at);
        }
        return;
    }
}

/* Its pages are counted now. By itself it is within the limit, unless its path holds two
 * pages for the same tokens (radix_attach). */
static void trim_tenant(struct prefix *p, const struct prefix_path *path, int32_t slot)
{
    if (!prefix_tenant_exceeds(p, path, 0))
        return;
    prefix_order_exempt(p, slot, true);
    while (prefix_tenant_exceeds(p, path, 0) && evict(p, prefix_tenant_first(p, path)))
        ;
    prefix_order_exempt(p, slot, false);
    if (prefix_tenant_exceeds(p, path, 0))
        evict(p, slot);
}

static void enter(struct prefix *p, const struct checkpoint *c,
                  const struct prefix_path *path, int32_t slot, const int32_t *table)
{
    struct radix_node *node = &p->radix.nodes[c->node];
    p->checkpoints[slot] = *c;
    node->slot = slot;
    node->evicted = false;
    int n_pages = radix_attach(&p->radix, c->node, table);
    p->n++;
    p->counts.created++;
    prefix_tenant_enter(p, slot, &path->key, n_pages);
    prefix_order_enter(p, slot);
    if (c->kind == PREFIX_ANSWER)
        pass_on(p, &p->checkpoints[slot]);
    trim_tenant(p, path, slot);
}

bool prefix_insert_copy(struct prefix *p, const struct prefix_path *path,
                        enum prefix_kind kind, int32_t slot, const int32_t *table)
{
    struct checkpoint c = {.depth = path->n, .kind = kind};
    c.node = claim(p, path, prefix_full);
    if (c.node != NONE)
        enter(p, &c, path, slots_dup(p->slots, slot), table);
    return c.node != NONE;
}

bool prefix_adopt(struct prefix *p, const struct prefix_path *path, enum prefix_kind kind,
                  int32_t slot, const int32_t *table)
{
    struct checkpoint c = {.depth = path->n, .kind = kind};
    c.node = claim(p, path, is_over_cap);
    if (c.node != NONE)
        enter(p, &c, path, slot, table);
    return c.node != NONE;
}

/* Priorities, and who is above whom.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/prefix_order.h"

enum { NONE = -1, MOST_HITS = 15 /* more do not raise a priority */ };

/* How likely a checkpoint is wanted again, by kind. */
static const double likely[PREFIX_KINDS] = {
    [PREFIX_INTERVAL] = 1.0 / 16, [PREFIX_PASSED] = 1.0 / 16, [PREFIX_PROMPT] = 1.0 / 4,
    [PREFIX_TURN] = 1.0 / 2,      [PREFIX_ANSWER] = 1,        [PREFIX_JUNCTION] = 1};

bool prefix_order_is_likely(enum prefix_kind kind)
{
    return likely[kind] >= likely[PREFIX_TURN];
}

bool prefix_order_before(const struct checkpoint *a, const struct checkpoint *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->used < b->used;
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return prefix_order_before(HEAP_OF(a, const struct checkpoint, place),
                               HEAP_OF(b, const struct checkpoint, place));
}

bool prefix_order_open(struct prefix *p)
{
    p->order.before = before;
    return heap_reserve(&p->order, (size_t)p->slots->n);
}

/* ---- priorities ------------------------------------------------------------- */

static int pages_of(int depth)
{
    return (depth + PAGE_TOKENS - 1) / PAGE_TOKENS;
}

/* Tokens saved per byte. */
static double value(const struct prefix *p, const struct checkpoint *c)
{
    int above = c->above == NONE ? 0 : p->checkpoints[c->above].depth;
    int hits = c->n_hits < MOST_HITS ? c->n_hits : MOST_HITS;
    double bytes = (double)p->slots->slot_bytes;
    if (p->radix.nodes[c->node].live == 1) /* else others hold its pages, too */
        bytes += (double)(pages_of(c->depth) - above / PAGE_TOKENS) *
                 (double)p->pages->page_bytes;
    return (double)(c->depth - above) * likely[c->kind] * (1 + hits) / bytes;
}

void prefix_order_refresh(struct prefix *p, int32_t slot)
{
    if (slot == NONE)
        return;
    struct checkpoint *c = &p->checkpoints[slot];
    c->priority = c->base + value(p, c);
    heap_update(&p->order, &c->place);
}

void prefix_order_use(struct prefix *p, int32_t slot)
{
    p->checkpoints[slot].base = p->inflation;
    p->checkpoints[slot].used = ++p->n_uses;
    prefix_order_refresh(p, slot);
}

void prefix_order_exempt(struct prefix *p, int32_t slot, bool exempt)
{
    if (slot == NONE)
        return;
    if (exempt)
        heap_remove(&p->order, &p->checkpoints[slot].place);
    else
        heap_insert(&p->order, &p->checkpoints[slot].place);
}

int32_t prefix_order_first(const struct prefix *p)
{
    const struct heap_node *n = heap_first(&p->order);
    return n ? (int32_t)(HEAP_OF(n, struct checkpoint, place) - p->checkpoints) : NONE;
}

/* ---- neighbours ------------------------------------------------------------- */

int32_t prefix_order_above(const struct prefix *p, int32_t node)
{
    const struct radix_node *nodes = p->radix.nodes;
    for (int32_t at = nodes[node].parent; at >= 0; at = nodes[at].parent)
        if (nodes[at].slot != NONE)
            return nodes[at].slot;
    return NONE;
}

/* Sets the checkpoint that those right below a node have above them. */
static void set_above(struct prefix *p, int32_t node, int32_t above)
{
    const struct radix *x = &p->radix;
    if (x->nodes[node].live == 1) /* its own */
        return;
    bool below = true;
    for (int32_t at = node; (at = radix_next(x, node, at, below)) != NONE;) {
        int32_t slot = x->nodes[at].slot;
        below = slot == NONE && x->nodes[at].live > 0;
        if (slot == NONE)
            continue;
        p->checkpoints[slot].above = above;
        prefix_order_refresh(p, slot);
    }
}

void prefix_order_enter(struct prefix *p, int32_t slot)
{
    struct checkpoint *c = &p->checkpoints[slot];
    c->above = prefix_order_above(p, c->node);
    set_above(p, c->node, slot);
    prefix_order_use(p, slot);
    heap_insert(&p->order, &c->place);
    prefix_order_refresh(p, c->above); /* its pages are shared now */
}

void prefix_order_leave(struct prefix *p, int32_t slot)
{
    struct checkpoint *c = &p->checkpoints[slot];
    heap_remove(&p->order, &c->place);
    set_above(p, c->node, c->above);
    c->node = NONE;
    if (p->n == 0)
        p->inflation = 0; /* nothing is left to compare with */
}

/* The array is a complete binary tree from place 1 on: the parent of i is i / 2.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/heap.h"

#include "engine/base/mem.h"

bool heap_reserve(struct heap *h, size_t n)
{
    if (n <= h->cap)
        return true;
    if (n >= UINT32_MAX)
        return false;
    size_t cap = h->cap ? h->cap : 16;
    while (cap < n)
        cap += cap / 2;
    void *more = mem_grow(h->nodes, h->n * sizeof *h->nodes, cap * sizeof *h->nodes);
    if (!more)
        return false;
    h->nodes = more;
    h->cap = (uint32_t)cap;
    return true;
}

void heap_free(struct heap *h)
{
    mem_free(h->nodes);
    *h = (struct heap){.before = h->before};
}

static void place(struct heap *h, struct heap_node *node, uint32_t at)
{
    h->nodes[at - 1] = node;
    node->at = at;
}

/* Moves the node from a free place towards the root as far as it goes. */
static void rise(struct heap *h, struct heap_node *node, uint32_t at)
{
    for (; at > 1 && h->before(node, h->nodes[at / 2 - 1]); at /= 2)
        place(h, h->nodes[at / 2 - 1], at);
    place(h, node, at);
}

static void sink(struct heap *h, struct heap_node *node, uint32_t at)
{
    for (uint32_t child; at <= h->n / 2; at = child) {
        child = 2 * at;
        if (child < h->n && h->before(h->nodes[child], h->nodes[child - 1]))
            child++;
        if (!h->before(h->nodes[child - 1], node))
            break;
        place(h, h->nodes[child - 1], at);
    }
    place(h, node, at);
}

static void settle(struct heap *h, struct heap_node *node, uint32_t at)
{
    if (at > 1 && h->before(node, h->nodes[at / 2 - 1]))
        rise(h, node, at);
    else
        sink(h, node, at);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->n ? h->nodes[0] : NULL;
}

void heap_insert(struct heap *h, struct heap_node *node)
{
    rise(h, node, ++h->n);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    uint32_t at = node->at;
    if (at == 0)
        return;
    struct heap_node *last = h->nodes[--h->n];
    node->at = 0;
    if (last != node)
        settle(h, last, at);
}

void heap_update(struct heap *h, struct heap_node *node)
{
    if (node->at)
        settle(h, node, node->at);
}

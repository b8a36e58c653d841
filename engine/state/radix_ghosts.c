/* A doubly linked list through the nodes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/radix_ghosts.h"

enum { NONE = -1 };

void radix_ghosts_remove(struct radix *x, int32_t node)
{
    struct radix_node *d = &x->nodes[node];
    if (!d->listed)
        return;
    *(d->older != NONE ? &x->nodes[d->older].newer : &x->oldest) = d->newer;
    *(d->newer != NONE ? &x->nodes[d->newer].older : &x->newest) = d->older;
    d->listed = false;
}

static bool is_ghost_leaf(const struct radix_node *d)
{
    return d->live == 0 && d->first == NONE;
}

void radix_ghosts_add_newest(struct radix *x, int32_t node)
{
    struct radix_node *d = &x->nodes[node];
    if (d->listed || !is_ghost_leaf(d))
        return;
    d->older = x->newest;
    d->newer = NONE;
    *(x->newest != NONE ? &x->nodes[x->newest].newer : &x->oldest) = node;
    x->newest = node;
    d->listed = true;
}

void radix_ghosts_add_oldest(struct radix *x, int32_t node)
{
    struct radix_node *d = &x->nodes[node];
    if (d->listed || !is_ghost_leaf(d))
        return;
    d->older = NONE;
    d->newer = x->oldest;
    *(x->oldest != NONE ? &x->nodes[x->oldest].older : &x->newest) = node;
    x->oldest = node;
    d->listed = true;
}

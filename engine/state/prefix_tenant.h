/*
 * What each tenant's checkpoints take of the prefix cache, so that a tenant with a limit
 * (prefix_path.limit_bytes) stays within it at its own cost. Engine thread only; allocates
 * at open alone.
 *
 * A tenant takes the slots of its checkpoints and the pages that their paths hold, each page
 * once, whether a sequence uses it, too, or not. No page is of two tenants, because paths of
 * different keys share no node. Tenants are told apart by a hash of their names. The subtle
 * point: a pinned path that is given up may let go of pages after its last checkpoint was
 * evicted, so an entry ends with both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_PREFIX_TENANT_H
#define ENGINE_STATE_PREFIX_TENANT_H

#include "engine/state/prefix.h"

struct prefix_tenant {
    uint64_t hash;           /* of the name */
    int n, n_pages;          /* checkpoints; pages. Both 0: the entry is free */
    struct list checkpoints; /* checkpoint.of_tenant */
};

bool prefix_tenant_open(struct prefix *p); /* false: out of memory */
void prefix_tenant_close(struct prefix *p);

/* A checkpoint with this key was entered, or is being taken out; the tree holds so many
 * pages more or less for it. */
void prefix_tenant_enter(struct prefix *p, int32_t slot, const struct radix_key *key,
                         int n_pages);
void prefix_tenant_leave(struct prefix *p, int32_t slot, int n_pages);

/* A pinned path was given up, and n_pages with it. */
void prefix_tenant_give_up(struct prefix *p, const struct radix_key *key, int n_pages);

/* Whether the path's tenant would have more than its limit with so many bytes more. */
bool prefix_tenant_exceeds(const struct prefix *p, const struct prefix_path *path,
                           size_t more_bytes);

/* Of the path's tenant, the checkpoint to evict next; -1: none. */
int32_t prefix_tenant_first(const struct prefix *p, const struct prefix_path *path);

#endif

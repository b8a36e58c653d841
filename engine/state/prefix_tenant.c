/* A table that is searched from its beginning: tenants are few.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/prefix_tenant.h"

#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/state/prefix_order.h"

enum { NONE = -1 };

bool prefix_tenant_open(struct prefix *p)
{
    p->tenants = mem_zalloc((size_t)p->slots->n, sizeof *p->tenants);
    return p->tenants != NULL;
}

void prefix_tenant_close(struct prefix *p)
{
    mem_free(p->tenants);
    p->tenants = NULL;
}

static uint64_t hash_of(const struct radix_key *key)
{
    return hash_bytes(key->bytes, key->tenant_len);
}

/* The entry, or NONE; *spare is then one that can be taken. */
static int32_t find(const struct prefix *p, uint64_t hash, int32_t *spare)
{
    *spare = p->n_tenants;
    for (int32_t i = p->n_tenants; i-- > 0;) {
        const struct prefix_tenant *t = &p->tenants[i];
        if (t->n == 0 && t->n_pages == 0)
            *spare = i;
        else if (t->hash == hash)
            return i;
    }
    return NONE;
}

static struct prefix_tenant *tenant_of(const struct prefix *p,
                                       const struct radix_key *key)
{
    int32_t spare, i = find(p, hash_of(key), &spare);
    return i == NONE ? NULL : &p->tenants[i];
}

void prefix_tenant_enter(struct prefix *p, int32_t slot, const struct radix_key *key,
                         int n_pages)
{
    uint64_t hash = hash_of(key);
    int32_t spare, i = find(p, hash, &spare);
    if (i == NONE) {
        i = spare;
        p->n_tenants += i == p->n_tenants;
        p->tenants[i] = (struct prefix_tenant){.hash = hash};
        list_init(&p->tenants[i].checkpoints);
    }
    p->checkpoints[slot].tenant = i;
    p->tenants[i].n++;
    p->tenants[i].n_pages += n_pages;
    list_push(&p->tenants[i].checkpoints, &p->checkpoints[slot].of_tenant);
}

void prefix_tenant_leave(struct prefix *p, int32_t slot, int n_pages)
{
    struct checkpoint *c = &p->checkpoints[slot];
    p->tenants[c->tenant].n--;
    p->tenants[c->tenant].n_pages -= n_pages;
    list_remove(&c->of_tenant);
}

void prefix_tenant_give_up(struct prefix *p, const struct radix_key *key, int n_pages)
{
    struct prefix_tenant *t = n_pages ? tenant_of(p, key) : NULL;
    if (t)
        t->n_pages -= n_pages;
}

bool prefix_tenant_exceeds(const struct prefix *p, const struct prefix_path *path,
                           size_t more_bytes)
{
    const struct prefix_tenant *t = path->limit_bytes ? tenant_of(p, &path->key) : NULL;
    return t && (size_t)t->n * p->slots->slot_bytes +
                        (size_t)t->n_pages * p->pages->page_bytes + more_bytes >
                    path->limit_bytes;
}

int32_t prefix_tenant_first(const struct prefix *p, const struct prefix_path *path)
{
    const struct prefix_tenant *t = tenant_of(p, &path->key);
    const struct checkpoint *first = NULL;
    if (!t)
        return NONE;
    for (const struct list *n = t->checkpoints.next; n != &t->checkpoints; n = n->next) {
        const struct checkpoint *c = LIST_OF(n, const struct checkpoint, of_tenant);
        if (c->place.at && (!first || prefix_order_before(c, first)))
            first = c;
    }
    return first ? (int32_t)(first - p->checkpoints) : NONE;
}

/* XXH3: this file alone includes xxhash.h. Any thread; a running hash has one owner.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/hash.h"

#include "engine/base/mem.h"

#define XXH_STATIC_LINKING_ONLY /* the size of a running state, fixed since 0.8 */
#include <xxhash.h>

uint64_t hash_bytes(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

bool hash_begin(struct hash *h)
{
    if (!h->state)
        h->state = mem_alloc(sizeof(XXH3_state_t));
    if (h->state)
        XXH3_64bits_reset(h->state);
    return h->state != NULL;
}

void hash_put(struct hash *h, const void *data, size_t len)
{
    XXH3_64bits_update(h->state, data, len);
}

uint64_t hash_value(const struct hash *h)
{
    return XXH3_64bits_digest(h->state);
}

void hash_free(struct hash *h)
{
    mem_free(h->state);
    h->state = NULL;
}

/* Growing arrays of token ids: the capacity doubles. Runs on the thread of its owner.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/ids.h"

#include "engine/base/mem.h"

#include <string.h>

void ids_free(struct ids *ids)
{
    mem_free(ids->data);
    *ids = (struct ids){0};
}

bool ids_reserve(struct ids *ids, size_t n)
{
    if (n <= ids->cap - ids->n)
        return true;
    if (n > PTRDIFF_MAX / sizeof *ids->data - ids->n)
        return false;
    size_t cap = ids->cap ? ids->cap * 2 : 64;
    if (cap < ids->n + n)
        cap = ids->n + n;
    int32_t *data = mem_grow(ids->data, ids->n * sizeof *data, cap * sizeof *data);
    if (!data)
        return false;
    ids->data = data;
    ids->cap = cap;
    return true;
}

bool ids_append(struct ids *ids, const int32_t *more, size_t n)
{
    if (!ids_reserve(ids, n))
        return false;
    if (n)
        memcpy(ids->data + ids->n, more, n * sizeof *more);
    ids->n += n;
    return true;
}

bool ids_push(struct ids *ids, int32_t id)
{
    return ids_append(ids, &id, 1);
}

/* The slot pool: a stack of free ids.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/slots.h"

#include "engine/base/mem.h"

#include <string.h>

int slots_open(struct slots *s, int n, size_t slot_bytes, struct err *err)
{
    *s = (struct slots){.slot_bytes = slot_bytes, .n = n, .n_free = n};
    s->base = mem_alloc((size_t)n * slot_bytes);
    s->free = mem_alloc((size_t)n * sizeof *s->free);
    if (!s->base || !s->free) {
        slots_close(s);
        return err_set(err, ERR_MEMORY, "out of memory for %d slots of %zu bytes", n,
                       slot_bytes);
    }
    for (int i = 0; i < n; i++)
        s->free[i] = n - 1 - i;
    return 0;
}

void slots_close(struct slots *s)
{
    mem_free(s->base);
    mem_free(s->free);
    *s = (struct slots){0};
}

int32_t slots_take(struct slots *s)
{
    if (s->n_free == 0)
        return -1;
    int32_t slot = s->free[--s->n_free];
    memset(slots_at(s, slot), 0, s->slot_bytes);
    return slot;
}

int32_t slots_dup(struct slots *s, int32_t from)
{
    if (s->n_free == 0)
        return -1;
    int32_t slot = s->free[--s->n_free];
    slots_copy(s, slot, from);
    return slot;
}

void slots_drop(struct slots *s, int32_t slot)
{
    s->free[s->n_free++] = slot;
}

char *slots_at(const struct slots *s, int32_t slot)
{
    return s->base + (size_t)slot * s->slot_bytes;
}

void slots_copy(struct slots *s, int32_t to, int32_t from)
{
    memcpy(slots_at(s, to), slots_at(s, from), s->slot_bytes);
}

int slots_used(const struct slots *s)
{
    return s->n - s->n_free;
}

void slots_trim(struct slots *s)
{
    if (s->n_free == s->n)
        mem_forget(s->base, (size_t)s->n * s->slot_bytes);
}

/*
 * The table of jobs. A job's id is serial << 32 | its place in the table, so that an id
 * is never used twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/serve/job.h"

#include "engine/base/mem.h"

#include <string.h>

static bool grow(struct job_table *t)
{
    size_t cap = t->cap ? t->cap * 2 : 64;
    struct job **slots = mem_zalloc(cap, sizeof(struct job *));
    if (!slots)
        return false;
    if (t->cap)
        memcpy(slots, t->slots, t->cap * sizeof(struct job *));
    mem_free(t->slots);
    t->slots = slots;
    t->free_hint = t->cap;
    t->cap = cap;
    return true;
}

int job_add(struct job_table *t, struct job *j, struct err *err)
{
    while (t->free_hint < t->cap && t->slots[t->free_hint])
        t->free_hint++;
    if (t->free_hint == t->cap && !grow(t))
        return err_set(err, ERR_MEMORY, "out of memory");
    t->slots[t->free_hint] = j;
    j->id = (uint64_t)++t->serial << 32 | t->free_hint;
    return 0;
}

void job_remove(struct job_table *t, struct job *j)
{
    size_t i = (size_t)(j->id & UINT32_MAX);
    if (j->id && i < t->cap && t->slots[i] == j) {
        t->slots[i] = NULL;
        if (i < t->free_hint)
            t->free_hint = i;
    }
    j->id = 0;
}

struct job *job_find(const struct job_table *t, uint64_t id)
{
    size_t i = (size_t)(id & UINT32_MAX);
    struct job *j = i < t->cap ? t->slots[i] : NULL;
    return j && j->id == id ? j : NULL;
}

void job_table_free(struct job_table *t)
{
    mem_free(t->slots);
    *t = (struct job_table){0};
}

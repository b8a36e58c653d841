/* Memory for a history.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/history.h"

#include "engine/base/mem.h"

int history_make(struct history *h, size_t n_ids, size_t n_ends, struct err *err)
{
    *h = (struct history){.n_ids = n_ids, .n_ends = n_ends};
    h->ids = mem_alloc(n_ids * sizeof *h->ids + 1);
    h->ends = mem_alloc(n_ends * sizeof *h->ends + 1);
    if (h->ids && h->ends)
        return 0;
    history_free(h);
    return err_set(err, ERR_MEMORY, "out of memory for %zu tokens", n_ids);
}

size_t history_unseen(const struct history *h)
{
    const struct answer_end *e = h->n_ends ? &h->ends[h->n_ends - 1] : NULL;
    return e && (size_t)e->at == h->n_ids ? (size_t)(e->at - e->from) - (e->shown > 0)
                                          : 0;
}

void history_free(struct history *h)
{
    mem_free(h->ids);
    mem_free(h->ends);
    *h = (struct history){0};
}

/* Sizes of sequences, and their release.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/seq.h"

#include "engine/kernel/kernel.h"

int seq_pages(int n_tokens)
{
    return (n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
}

void seq_release(struct seq *s, struct slots *slots, struct pages *pages)
{
    for (int i = 0; i < s->n_pages; i++)
        pages_drop(pages, s->pages[i]);
    pages_unreserve(pages, s->n_reserved);
    if (s->slot >= 0)
        slots_drop(slots, s->slot);
    s->slot = -1;
    s->n_pages = s->n_reserved = 0;
}

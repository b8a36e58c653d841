/* Arrays and rows of a batch.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/batch.h"

#include "engine/base/mem.h"

#include <assert.h>

int batch_open(struct batch *b, int rows_cap, int spans_cap, struct err *err)
{
    size_t rows = (size_t)rows_cap, spans = (size_t)spans_cap;
    *b = (struct batch){.rows_cap = rows_cap, .spans_cap = spans_cap};
    b->ids = mem_alloc(rows * sizeof *b->ids);
    b->positions = mem_alloc(rows * sizeof *b->positions);
    b->row_span = mem_alloc(rows * sizeof *b->row_span);
    b->spans = mem_alloc(spans * sizeof *b->spans);
    b->seqs = mem_alloc(spans * sizeof *b->seqs);
    if (b->ids && b->positions && b->row_span && b->spans && b->seqs)
        return 0;
    batch_close(b);
    return err_set(err, ERR_MEMORY, "out of memory for a batch of %d rows", rows_cap);
}

void batch_close(struct batch *b)
{
    mem_free(b->ids);
    mem_free(b->positions);
    mem_free(b->row_span);
    mem_free(b->spans);
    mem_free(b->seqs);
    *b = (struct batch){0};
}

void batch_reset(struct batch *b)
{
    b->n_rows = b->n_spans = 0;
}

static void take_pages(struct seq *q, struct pages *pages)
{
    int need = pages->page_bytes ? seq_pages(q->n_run + q->n_rows) : 0;
    while (q->n_pages < need) {
        q->pages[q->n_pages++] = pages_take(pages);
        q->n_reserved--;
    }
}

void batch_add(struct batch *b, struct seq *q, struct slots *slots, struct pages *pages)
{
    assert(b->n_rows + q->n_rows <= b->rows_cap && b->n_spans < b->spans_cap);
    take_pages(q, pages);
    q->row0 = b->n_rows;
    b->spans[b->n_spans] = (struct span){.row0 = b->n_rows,
                                         .n_rows = q->n_rows,
                                         .pos = q->n_run,
                                         .fixed = slots_at(slots, q->slot),
                                         .pages = q->pages};
    b->seqs[b->n_spans] = q;
    for (int i = 0; i < q->n_rows; i++, b->n_rows++) {
        b->ids[b->n_rows] = q->tokens[q->n_run + i];
        b->positions[b->n_rows] = q->n_run + i;
        b->row_span[b->n_rows] = b->n_spans;
    }
    b->n_spans++;
}

void batch_build(struct batch *b, const struct sched *s)
{
    batch_reset(b);
    for (struct list *n = s->running.next; n != &s->running; n = n->next) {
        struct request *r = LIST_OF(n, struct request, link);
        for (int i = 0; i < r->gen.n; i++)
            if (r->seqs[i].n_rows)
                batch_add(b, &r->seqs[i], s->reuse->slots, s->reuse->pages);
    }
}

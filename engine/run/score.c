/* Scoring, by the batch, forward pass and head that serve requests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/score.h"

#include "engine/base/mem.h"

#include <string.h>

int score_begin(struct score *s, struct runner *r, struct err *err)
{
    score_end(s, r);
    if (r->sched.n_running || r->sched.n_waiting || !list_empty(&r->leased))
        return err_set(err, ERR_BUSY, "scoring needs an idle engine");
    if (r->reuse.prefix)
        prefix_clear(r->reuse.prefix);
    size_t n = (size_t)r->model->context;
    s->seq = (struct seq){.state = SEQ_PREFILL, .slot = slots_take(&r->slots)};
    s->seq.tokens = mem_alloc(n * sizeof *s->seq.tokens);
    s->seq.pages = mem_alloc((n / PAGE_TOKENS + 1) * sizeof *s->seq.pages);
    s->open = true;
    if (s->seq.tokens && s->seq.pages)
        return 0;
    score_end(s, r);
    return err_set(err, ERR_MEMORY, "out of memory for a sequence of %zu tokens", n);
}

void score_end(struct score *s, struct runner *r)
{
    if (!s->open)
        return;
    seq_release(&s->seq, &r->slots, &r->pages);
    mem_free(s->seq.tokens);
    mem_free(s->seq.pages);
    *s = (struct score){0};
}

static int check(const struct score *s, const struct runner *r, const struct score_run *j,
                 struct err *err)
{
    size_t sum = 0, context = (size_t)r->model->context;
    for (size_t i = 0; i < j->n; i++)
        if (j->ids[i] < 0 || j->ids[i] >= r->model->hp.vocab_size)
            return err_param(err, ERR_ARGUMENT, "ids",
                             "ids[%zu]: expected 0 to %d, found %d", i,
                             r->model->hp.vocab_size - 1, (int)j->ids[i]);
    if ((size_t)s->seq.n_tokens + j->n > context)
        return err_param(err, ERR_CONTEXT, "ids",
                         "ids: expected at most %zu tokens of context, found %zu",
                         context, (size_t)s->seq.n_tokens + j->n);
    for (size_t i = 0; i < j->n_chunks; i++) {
        if (j->chunks[i] < 1)
            return err_param(err, ERR_ARGUMENT, "split",
                             "split: expected pieces of at least 1, found %d",
                             j->chunks[i]);
        sum += (size_t)j->chunks[i];
    }
    if (j->n_chunks && sum != j->n)
        return err_param(err, ERR_ARGUMENT, "split",
                         "split: expected a sum of %zu, found %zu", j->n, sum);
    return 0;
}

/* One step of at most step_rows rows. */
static int run_piece(struct score *s, struct runner *r, int n, const struct score_run *j,
                     struct err *err)
{
    int need = r->pages.page_bytes ? seq_pages(s->seq.n_run + n) - s->seq.n_pages : 0;
    if (!pages_reserve(&r->pages, need))
        return err_set(err, ERR_BUDGET, "ids: expected at most %d pages of K/V, found %d",
                       r->pages.n, s->seq.n_pages + need);
    s->seq.n_reserved += need;
    s->seq.n_rows = n;
    size_t mark = arena_mark(&r->scratch), v = (size_t)r->model->hp.vocab_size;
    int first = s->seq.n_run, rc = 0;
    struct ctx c;
    batch_reset(&r->batch);
    batch_add(&r->batch, &s->seq, &r->slots, &r->pages);
    const float *h = runner_forward(r, &r->batch, &c);
    for (int i = 0; i < n; i++)
        r->head_rows[i] = i;
    for (int done = 0, some; rc == 0 && done < n; done += some) {
        some = n - done < r->max_logits ? n - done : r->max_logits;
        model_head(r->model, &c, h, r->head_rows + done, some, r->logits);
        for (int i = 0; rc == 0 && i < some; i++)
            rc = j->row(j->arg, (size_t)(first + done + i), r->logits + (size_t)i * v);
    }
    arena_release(&r->scratch, mark);
    return rc;
}

static int run_chunk(struct score *s, struct runner *r, int n, const struct score_run *j,
                     struct err *err)
{
    int rc = 0;
    while (rc == 0 && n > 0) {
        int piece = n < r->batch.rows_cap ? n : r->batch.rows_cap;
        rc = run_piece(s, r, piece, j, err);
        n -= piece;
    }
    return rc;
}

int score_run(struct score *s, struct runner *r, const struct score_run *j,
              struct err *err)
{
    int rc = check(s, r, j, err);
    if (rc)
        return rc;
    if (j->n)
        memcpy(s->seq.tokens + s->seq.n_tokens, j->ids, j->n * sizeof *j->ids);
    s->seq.n_tokens += (int)j->n;
    for (size_t i = 0; rc == 0 && i < j->n_chunks; i++)
        rc = run_chunk(s, r, j->chunks[i], j, err);
    if (rc == 0 && !j->n_chunks)
        rc = run_chunk(s, r, (int)j->n, j, err);
    if (rc)
        score_end(s, r); /* only a part of the ids has run */
    return rc;
}

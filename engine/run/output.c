/* Which rows, what is sampled from them, and what becomes of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/output.h"

#include "engine/run/emit.h"

#include <string.h>

/* ---- which rows need logits ------------------------------------------------- */

struct head_plan {
    int n_rows;  /* head_rows[0, n_rows) need logits */
    int n_ended; /* the n_ended rows behind them end a prompt that wants no token */
};

/* Of a decoding sequence: not those that it runs again. */
static bool wants_logits(const struct runner *r, const struct seq *s, int row)
{
    const struct gen_params *g = &s->req->gen;
    bool knows_next = r->batch.positions[row] + 1 < s->n_tokens;
    if (s->state == SEQ_DECODE)
        return !knows_next;
    return knows_next ? g->prompt_logprobs : g->max_tokens > 0;
}

/* The row of a sequence that knows no next token is sampled from, and those of proposed
 * tokens; with prompt log-probabilities every other prompt row is scored. */
static struct head_plan plan_head(struct runner *r)
{
    struct head_plan p = {0};
    for (int i = 0; i < r->batch.n_spans; i++) {
        const struct seq *s = r->batch.seqs[i];
        int last = s->row0 + s->n_rows - 1;
        for (int row = s->row0; row <= last; row++)
            if (wants_logits(r, s, row))
                r->head_rows[p.n_rows++] = row;
    }
    for (int i = 0; i < r->batch.n_spans; i++) {
        const struct seq *s = r->batch.seqs[i];
        if (s->n_run == s->n_tokens && s->req->gen.max_tokens == 0)
            r->head_rows[p.n_rows + p.n_ended++] = s->row0 + s->n_rows - 1;
    }
    return p;
}

static struct seq *seq_of(const struct runner *r, int row)
{
    return r->batch.seqs[r->batch.row_span[row]];
}

/* ---- sampling, divided over the pool ---------------------------------------- */

struct head_job {
    struct runner *r;
    const int *rows;
    int n;
};

/* The token behind the first n_tokens. */
static void sample_one(const struct seq *s, int n_tokens, struct sampler *sampler,
                       const float *logits, struct sample_out *out)
{
    struct sample_in in = {.logits = logits,
                           .gen = &s->req->gen,
                           .tokens = s->tokens,
                           .n_prompt = s->req->n_prompt,
                           .n_tokens = n_tokens,
                           .choice = s->choice,
                           .end_ids = s->req->end_ids,
                           .n_end_ids = s->req->n_end_ids};
    sample_next(sampler, &in, out);
}

/* The prompt's end: all choices begin here. */
static void sample_choices(const struct request *q, struct sampler *sampler,
                           const float *logits)
{
    for (int i = 0; i < q->gen.n; i++) {
        struct seq *s = &q->seqs[i];
        sample_one(s, s->n_tokens, sampler, logits, &s->next);
    }
}

static void sample_row(void *arg, int task, int thread)
{
    const struct head_job *j = arg;
    struct runner *r = j->r;
    int row = j->rows[task], next = r->batch.positions[row] + 1;
    struct seq *s = seq_of(r, row);
    struct sampler *sampler = &r->samplers[thread];
    const float *logits = r->logits + (size_t)task * (size_t)r->model->hp.vocab_size;
    if (!s)
        return; /* it ended in rows before */
    if (next < s->n_tokens) {
        int top = s->req->gen.logprobs > 0 ? s->req->gen.logprobs : 0;
        if (!sample_logprobs(sampler, logits, s->tokens[next], top, &r->row_out[task]))
            r->row_out[task] = (struct sample_out){.logprob = -__builtin_inff()};
        return;
    }
    if (s->state == SEQ_DECODE)
        sample_one(s, next, sampler, logits, &r->row_out[task]);
    else
        sample_choices(s->req, sampler, logits);
}

/* ---- after the step --------------------------------------------------------- */

/* Gives every other choice the state at the end of the prompt: full pages are shared, the
 * page that will be written is copied. */
static void fork_choices(struct runner *r, struct request *q)
{
    struct seq *first = &q->seqs[0];
    int full = r->pages.page_bytes ? q->n_prompt / PAGE_TOKENS : 0;
    for (int i = 1; i < q->gen.n; i++) {
        struct seq *s = &q->seqs[i];
        slots_copy(&r->slots, s->slot, first->slot);
        for (int p = 0; p < full; p++) {
            s->pages[p] = first->pages[p];
            pages_share(&r->pages, s->pages[p]);
        }
        s->n_pages = full;
        if (first->n_pages > full) {
            s->pages[s->n_pages++] = pages_take(&r->pages);
            s->n_reserved--;
            pages_copy(&r->pages, s->pages[full], first->pages[full]);
        }
        s->n_run = first->n_run;
        s->state = SEQ_DECODE;
    }
    first->state = SEQ_DECODE;
}

static void end_prompt(struct runner *r, struct seq *s)
{
    struct request *q = s->req;
    int n = q->gen.n;
    q->prefill_ns = r->now_ns;
    if (q->gen.max_tokens == 0) {
        bool sound = reuse_is_sound(&r->reuse, s->slot);
        for (int i = 0; i < n; i++)
            emit_finish(r, &q->seqs[i], sound ? FINISH_LENGTH : FINISH_ERROR);
        return;
    }
    fork_choices(r, q);
    for (int i = 0; i < n; i++)
        emit_sampled(r, &q->seqs[i]);
}

static void commit_sampled(struct runner *r, int row, const struct sample_out *out)
{
    struct seq *s = seq_of(r, row);
    if (!speculate_holds(r, s, row))
        return;
    s->next = *out;
    if (!emit_sampled(r, s))
        r->batch.seqs[r->batch.row_span[row]] = NULL;
}

static void commit_row(struct runner *r, int row, const struct sample_out *out)
{
    struct seq *s = seq_of(r, row);
    int next = r->batch.positions[row] + 1;
    if (!s)
        return;
    if (s->state == SEQ_DECODE) {
        commit_sampled(r, row, out);
    } else if (next < s->n_tokens) {
        emit_prompt(r, s, next, out);
    } else {
        end_prompt(r, s);
        r->batch.seqs[r->batch.row_span[row]] = NULL; /* it may be gone */
    }
}

static void first_prompt_tokens(struct runner *r)
{
    for (int i = 0; i < r->batch.n_spans; i++) {
        struct seq *s = r->batch.seqs[i];
        if (s->req->gen.prompt_logprobs && r->batch.spans[i].pos == 0)
            emit_prompt(r, s, 0, NULL);
    }
}

void output_run(struct runner *r, const struct ctx *c, const float *h)
{
    struct head_plan p = plan_head(r);
    first_prompt_tokens(r);
    for (int done = 0, some; done < p.n_rows; done += some) {
        some = p.n_rows - done < r->max_logits ? p.n_rows - done : r->max_logits;
        struct head_job j = {r, r->head_rows + done, some};
        model_head(r->model, c, h, j.rows, some, r->logits);
        pool_run(r->gemm.pool, sample_row, &j, some);
        for (int i = 0; i < some; i++)
            commit_row(r, j.rows[i], &r->row_out[i]);
    }
    for (int i = 0; i < p.n_ended; i++)
        commit_row(r, r->head_rows[p.n_rows + i], NULL);
}

/* ---- prompts that were known to their end ----------------------------------- */

/* Requests that begin with all of their prompt: into batch.seqs; returns how many. */
static int find_ready(struct runner *r)
{
    int n = 0;
    for (struct list *l = r->sched.running.next; l != &r->sched.running; l = l->next) {
        const struct request *q = LIST_OF(l, struct request, link);
        struct seq *s = &q->seqs[0];
        if (s->state == SEQ_PREFILL && s->n_run == q->n_prompt && !q->paused)
            r->batch.seqs[n++] = s;
    }
    return n;
}

static void sample_ready(void *arg, int task, int thread)
{
    struct runner *r = arg;
    const float *logits = r->logits + (size_t)task * (size_t)r->model->hp.vocab_size;
    sample_choices(r->batch.seqs[task]->req, &r->samplers[thread], logits);
}

/* Runs the head over the rows that were stored with their states. */
int output_run_ready(struct runner *r)
{
    int n = find_ready(r);
    if (n == 0)
        return 0;
    size_t mark = arena_mark(&r->scratch), d = (size_t)r->model->hp.hidden_size;
    float *h = arena_alloc(&r->scratch, (size_t)n * d * sizeof *h);
    struct ctx c = runner_context(r, &r->batch);
    for (int i = 0; i < n; i++) {
        memcpy(h + (size_t)i * d, reuse_row(&r->reuse, r->batch.seqs[i]->slot),
               d * sizeof *h);
        r->head_rows[i] = i;
    }
    model_head(r->model, &c, h, r->head_rows, n, r->logits);
    pool_run(r->gemm.pool, sample_ready, r, n);
    arena_release(&r->scratch, mark);
    for (int i = 0; i < n; i++)
        end_prompt(r, r->batch.seqs[i]);
    return n;
}

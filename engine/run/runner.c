/* One step, from the plan to the events. */
#include "engine/run/runner.h"

#include "engine/base/mem.h"
#include "engine/run/emit.h"
#include "engine/run/lend.h"
#include "engine/run/seeded.h"

#include <assert.h>
#include <string.h>

enum { MIN_LOGITS = 16 };

/* ---- opening ---------------------------------------------------------------- */

static int logits_cap(int max_seqs)
{
    return max_seqs > MIN_LOGITS ? max_seqs : MIN_LOGITS;
}

size_t runner_scratch_bytes(const struct model *m, int step_rows, int max_seqs)
{
    return model_scratch(m, step_rows, logits_cap(max_seqs));
}

/* Of quantised rows: none without a quantised matrix. */
static size_t gemm_bytes(const struct model *m, int step_rows, int n_threads)
{
    return m->quant_in ? gemm_scratch_bytes(m->quant_in, step_rows, n_threads) : 0;
}

size_t runner_bytes(const struct model *m, int step_rows, int max_seqs, int n_threads)
{
    size_t v = (size_t)m->hp.vocab_size;
    size_t a_row = v * sizeof(float) + sizeof(struct sample_out);
    return runner_scratch_bytes(m, step_rows, max_seqs) +
           gemm_bytes(m, step_rows, n_threads) + (size_t)logits_cap(max_seqs) * a_row +
           (size_t)n_threads * sample_bytes(m->hp.vocab_size);
}

size_t runner_slot_bytes(const struct model *m)
{
    return m->slot_bytes + mixer_floats_bytes((size_t)m->hp.hidden_size);
}

static int open_state(struct runner *r, const struct runner_options *o, struct err *err)
{
    const struct model *m = r->model;
    const struct plan *p = &o->plan;
    const struct prefix_options po = {.n_nodes = p->n_nodes,
                                      .cap_bytes = o->checkpoint_bytes,
                                      .any_depth = m->slot_bytes == 0 && m->page_bytes};
    r->reuse = (struct reuse){.slots = &r->slots,
                              .pages = &r->pages,
                              .prefix = p->n_nodes ? &r->prefix : NULL,
                              .row_at = m->slot_bytes,
                              .row_floats = m->hp.hidden_size,
                              .interval = o->checkpoint_interval,
                              .vocab = r->world.vocab};
    sched_init(&r->sched, &r->reuse, p->n_slots, o->step_rows);
    int rc =
        slots_open(&r->slots, p->n_slots + p->n_checkpoints, runner_slot_bytes(m), err);
    if (rc == 0)
        rc = pages_open(&r->pages, p->n_pages, m->page_bytes, err);
    if (rc == 0 && p->n_nodes)
        rc = prefix_open(&r->prefix, &po, &r->slots, &r->pages, err);
    return rc;
}

static int open_samplers(struct runner *r, const struct kernels *k, struct err *err)
{
    r->samplers = mem_zalloc((size_t)r->n_threads, sizeof *r->samplers);
    if (!r->samplers)
        return err_set(err, ERR_MEMORY, "out of memory for samplers");
    int rc = 0;
    for (int i = 0; rc == 0 && i < r->n_threads; i++)
        rc = sample_open(&r->samplers[i], k, r->model->hp.vocab_size, err);
    return rc;
}

static int open_buffers(struct runner *r, int step_rows, struct err *err)
{
    size_t n = (size_t)r->max_logits, v = (size_t)r->model->hp.vocab_size;
    r->logits = mem_alloc(n * v * sizeof *r->logits);
    r->head_rows = mem_alloc((size_t)step_rows * sizeof *r->head_rows);
    r->row_out = mem_alloc(n * sizeof *r->row_out);
    if (r->logits && r->head_rows && r->row_out &&
        arena_fixed(&r->scratch,
                    runner_scratch_bytes(r->model, step_rows, r->max_logits) +
                        (r->speculate.mode ? speculate_scratch(r->model) : 0)))
        return 0;
    return err_set(err, ERR_MEMORY, "out of memory for the scratch of %d rows",
                   step_rows);
}

int runner_open(struct runner *r, const struct model *m, const struct gemm *g,
                const struct seq_world *w, const struct runner_options *o,
                struct err *err)
{
    *r = (struct runner){.model = m,
                         .world = *w,
                         .gemm = *g,
                         .n_threads = o->n_threads,
                         .max_logits = logits_cap(o->plan.n_slots),
                         .emit = o->emit,
                         .emit_arg = o->emit_arg};
    list_init(&r->lent);
    int rc = open_state(r, o, err);
    if (rc == 0)
        rc = batch_open(&r->batch, o->step_rows, o->plan.n_slots, err);
    if (rc == 0)
        rc = speculate_open(&r->speculate, m, o->speculate, err);
    if (rc == 0)
        rc = open_samplers(r, g->k, err);
    if (rc == 0)
        rc = open_buffers(r, o->step_rows, err);
    if (rc == 0 && m->quant_in)
        rc = gemm_scratch_open(&r->gemm_scratch, m->quant_in, o->step_rows, o->n_threads,
                               err);
    r->gemm.scratch = &r->gemm_scratch;
    if (rc)
        runner_close(r);
    return rc;
}

static void free_requests(struct runner *r, struct list *l)
{
    struct list *n;
    while ((n = list_pop(l))) {
        struct request *q = LIST_OF(n, struct request, link);
        for (int i = 0; i < q->gen.n; i++)
            seq_release(&q->seqs[i], &r->slots, &r->pages);
        request_free(q);
    }
}

/* In tests: all that was ever taken has come back. */
static void expect_all_back(const struct runner *r)
{
#ifdef SSMD_TEST
    assert(r->slots.n_free == r->slots.n && r->pages.n_free == r->pages.n);
    assert(r->pages.n_reserved == 0 && r->pages.n_idle == 0);
#else
    (void)r;
#endif
}

void runner_close(struct runner *r)
{
    lend_close(r);
    if (r->sched.waiting.next) {
        free_requests(r, &r->sched.waiting);
        free_requests(r, &r->sched.running);
    }
    prefix_close(&r->prefix);
    expect_all_back(r);
    for (int i = 0; r->samplers && i < r->n_threads; i++)
        sample_close(&r->samplers[i]);
    mem_free(r->samplers);
    mem_free(r->logits);
    mem_free(r->head_rows);
    mem_free(r->row_out);
    arena_free(&r->scratch);
    gemm_scratch_close(&r->gemm_scratch);
    speculate_close(&r->speculate);
    batch_close(&r->batch);
    pages_close(&r->pages);
    slots_close(&r->slots);
    *r = (struct runner){0};
}

/* ---- the forward pass ------------------------------------------------------- */

static struct ctx context_of(struct runner *r, const struct batch *b)
{
    return (struct ctx){.gemm = &r->gemm,
                        .scratch = &r->scratch,
                        .spans = b->spans,
                        .n_spans = b->n_spans,
                        .n_rows = b->n_rows,
                        .positions = b->positions,
                        .row_span = b->row_span,
                        .pages = r->pages.base,
                        .page_bytes = r->pages.page_bytes};
}

const float *runner_forward(struct runner *r, const struct batch *b, struct ctx *c)
{
    size_t d = (size_t)r->model->hp.hidden_size;
    *c = context_of(r, b);
    const float *h = model_forward(r->model, c, b->ids);
    for (int i = 0; i < b->n_spans; i++) {
        struct seq *s = b->seqs[i];
        size_t last = (size_t)(b->spans[i].row0 + s->n_rows - 1);
        s->n_run += s->n_rows;
        memcpy(reuse_row(&r->reuse, s->slot), h + last * d, d * sizeof *h);
    }
    return h;
}

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

static void run_head(struct runner *r, const struct ctx *c, const float *h)
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
static int run_ready(struct runner *r)
{
    int n = find_ready(r);
    if (n == 0)
        return 0;
    size_t mark = arena_mark(&r->scratch), d = (size_t)r->model->hp.hidden_size;
    float *h = arena_alloc(&r->scratch, (size_t)n * d * sizeof *h);
    struct ctx c = context_of(r, &r->batch);
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

/* ---- the step --------------------------------------------------------------- */

static void tell_start(void *arg, struct request *q)
{
    if (q->n_state) {
        lend_out(arg, q);
        return;
    }
    if (q->n_seeded)
        seeded_start(arg, q);
    emit_start(arg, q);
}

static void stamp_new(struct runner *r)
{
    struct list *n = r->sched.waiting.next;
    for (; n != &r->sched.waiting; n = n->next) {
        struct request *q = LIST_OF(n, struct request, link);
        if (!q->submit_ns)
            q->submit_ns = r->now_ns;
    }
}

int runner_step(struct runner *r, uint64_t now_ns)
{
    r->now_ns = r->prefix.now_ns = now_ns;
    stamp_new(r);
    sched_admit(&r->sched, tell_start, r);
    int n_ready = run_ready(r);
    r->last_rows = n_ready + speculate_plan(r, sched_plan(&r->sched));
    if (r->last_rows == n_ready) {
        r->n_steps += n_ready > 0;
        return n_ready;
    }
    size_t mark = arena_mark(&r->scratch);
    struct ctx c;
    batch_build(&r->batch, &r->sched);
    speculate_begin(r);
    const float *h = r->speculate.h = runner_forward(r, &r->batch, &c);
    reuse_keep(&r->reuse, &r->batch);
    run_head(r, &c, h);
    speculate_end(r);
    arena_release(&r->scratch, mark);
    r->n_steps++;
    return r->last_rows;
}

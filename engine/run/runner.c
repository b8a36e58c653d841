/* One step, from admission to the events.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/runner.h"

#include "engine/base/mem.h"
#include "engine/run/emit.h"
#include "engine/run/lease.h"
#include "engine/run/output.h"
#include "engine/run/synthetic.h"

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
    return m->rings_at + m->ring_bytes;
}

static int interval_of(const struct model *m, int given)
{
    bool chosen = given == ENGINE_INTERVAL_AUTO;
    return chosen ? reuse_interval(m->slot_bytes + m->ring_bytes, m->page_bytes) : given;
}

static int open_state(struct runner *r, const struct runner_options *o, struct err *err)
{
    const struct model *m = r->model;
    const struct memory_plan *p = &o->plan;
    const struct prefix_options po = {.n_nodes = p->n_nodes,
                                      .cap_bytes = o->checkpoint_bytes,
                                      .any_depth = m->slot_bytes + m->ring_bytes == 0 &&
                                                   m->page_bytes};
    r->reuse = (struct reuse){.slots = &r->slots,
                              .pages = &r->pages,
                              .prefix = p->n_nodes ? &r->prefix : NULL,
                              .row_at = m->slot_bytes,
                              .row_floats = m->hp.hidden_size,
                              .interval = interval_of(m, o->checkpoint_interval),
                              .vocab = r->vocab.vocab};
    sched_init(&r->sched, &r->reuse, p->n_slots, o->step_rows);
    r->sched.max_waiting = o->max_waiting;
    r->sched.wide_wait_ns = o->wide_wait_ns;
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
                const struct seq_vocab *w, const struct runner_options *o,
                struct err *err)
{
    *r = (struct runner){.model = m,
                         .vocab = *w,
                         .gemm = *g,
                         .n_threads = o->n_threads,
                         .max_logits = logits_cap(o->plan.n_slots),
                         .emit = o->emit,
                         .emit_arg = o->emit_arg};
    list_init(&r->leased);
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

/* In tests: everything that was taken from the pools is free again. */
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
    lease_close(r);
    if (r->sched.waiting.next) {
        free_requests(r, &r->sched.waiting);
        free_requests(r, &r->sched.running);
    }
    sched_close(&r->sched);
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

struct ctx runner_context(struct runner *r, const struct batch *b)
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
    *c = runner_context(r, b);
    const float *h = model_forward(r->model, c, b->ids);
    for (int i = 0; i < b->n_spans; i++) {
        struct seq *s = b->seqs[i];
        size_t last = (size_t)(b->spans[i].row0 + s->n_rows - 1);
        s->n_run += s->n_rows;
        memcpy(reuse_row(&r->reuse, s->slot), h + last * d, d * sizeof *h);
    }
    return h;
}

/* ---- the step --------------------------------------------------------------- */

static void begin(void *arg, struct request *q)
{
    if (q->n_state) {
        lease_grant(arg, q);
        return;
    }
    if (q->n_synthetic)
        synthetic_start(arg, q);
    emit_start(arg, q);
}

int runner_step(struct runner *r, uint64_t now_ns)
{
    r->now_ns = now_ns;
    sched_admit(&r->sched, now_ns, begin, r);
    int n_ready = output_run_ready(r);
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
    output_run(r, &c, h);
    speculate_end(r);
    arena_release(&r->scratch, mark);
    r->n_steps++;
    return r->last_rows;
}

/* Copies, rows, and the way back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/speculate.h"

#include "engine/base/mem.h"
#include "engine/mixer/ring.h"
#include "engine/run/runner.h"

#include <string.h>

enum {
    AUTO_ROWS = 16, /* a step beyond these is bound by arithmetic: rows cost */
    COPY_BYTES = 256 * 1024
};

/* ---- opening ---------------------------------------------------------------- */

static bool has_state(const struct model *m)
{
    return m->slot_bytes != 0;
}

static size_t copies_bytes(const struct model *m)
{
    return has_state(m) ? SPECULATE_SEQS * m->rings_at : 0;
}

size_t speculate_scratch(const struct model *m)
{
    return model_scratch(m, DRAFT_MAX + 1, 0);
}

size_t speculate_bytes(const struct model *m)
{
    return copies_bytes(m) + speculate_scratch(m);
}

int speculate_open(struct speculate *sp, const struct model *m,
                   enum engine_speculate mode, struct err *err)
{
    *sp = (struct speculate){.mode = mode};
    if (mode == ENGINE_SPECULATE_OFF)
        return 0;
    sp->copies = mem_alloc(copies_bytes(m) + 1);
    if (sp->copies)
        return batch_open(&sp->replay, DRAFT_MAX + 1, 1, err);
    return err_set(err, ERR_MEMORY, "out of memory for copies of states");
}

void speculate_close(struct speculate *sp)
{
    mem_free(sp->copies);
    batch_close(&sp->replay);
    *sp = (struct speculate){0};
}

/* ---- before the step -------------------------------------------------------- */

/* Rows that fail are run again beside one of every other sequence: both fit in a step. */
static int most_for(const struct runner *r, struct seq *s, int n_rows)
{
    bool is_auto = r->speculate.mode == ENGINE_SPECULATE_AUTO;
    int rows = r->sched.step_rows - r->sched.max_seqs;
    rows = is_auto && rows > AUTO_ROWS ? AUTO_ROWS : rows;
    int left = s->req->n_prompt + s->req->gen.max_tokens - s->n_tokens - 1;
    int most = rows - n_rows < left ? rows - n_rows : left;
    int back = RING_SPARE - (s->n_tokens - s->n_run);
    most = most < back ? most : back;
    if (most <= 0)
        return 0;
    int allowed = is_auto ? draft_allowance(&s->draft) : DRAFT_MAX;
    return most < allowed ? most : allowed;
}

static int propose(const struct runner *r, struct seq *s, int n_rows)
{
    struct draft *d = &s->draft;
    d->n_known = s->n_tokens;
    d->n = draft_lookup(s->tokens, s->n_tokens, most_for(r, s, n_rows));
    s->n_rows += d->n;
    return d->n;
}

int speculate_plan(struct runner *r, int n_rows)
{
    int n_seqs = 0;
    if (r->speculate.mode == ENGINE_SPECULATE_OFF)
        return n_rows;
    for (struct list *l = r->sched.running.next; l != &r->sched.running; l = l->next) {
        struct request *q = LIST_OF(l, struct request, link);
        for (int i = 0; i < q->gen.n && n_seqs < SPECULATE_SEQS; i++) {
            struct seq *s = &q->seqs[i];
            if (s->state != SEQ_DECODE || s->n_rows == 0)
                continue;
            n_rows += propose(r, s, n_rows);
            n_seqs += s->draft.n > 0;
        }
    }
    return n_rows;
}

/* ---- copies ----------------------------------------------------------------- */

struct copy_job {
    char *to[SPECULATE_SEQS];
    const char *from[SPECULATE_SEQS];
    size_t bytes;
    int parts; /* of each */
};

static void copy_part(void *arg, int task, int thread)
{
    (void)thread;
    const struct copy_job *j = arg;
    int which = task / j->parts;
    size_t at = (size_t)(task % j->parts) * COPY_BYTES, left = j->bytes - at;
    memcpy(j->to[which] + at, j->from[which] + at, left < COPY_BYTES ? left : COPY_BYTES);
}

static void copy(const struct runner *r, struct copy_job *j, int n)
{
    j->bytes = r->model->rings_at;
    j->parts = (int)((j->bytes + COPY_BYTES - 1) / COPY_BYTES);
    pool_run(r->gemm.pool, copy_part, j, n * j->parts);
}

void speculate_begin(struct runner *r)
{
    struct copy_job j;
    int n = 0;
    for (int i = 0; i < r->batch.n_spans; i++) {
        struct seq *s = r->batch.seqs[i];
        if (s->draft.n == 0)
            continue;
        s->n_before = s->n_run;
        if (!has_state(r->model))
            continue; /* there are no copies */
        s->copy = r->speculate.copies + (size_t)n * r->model->rings_at;
        j.to[n] = s->copy;
        j.from[n++] = slots_at(&r->slots, s->slot);
    }
    if (n > 0)
        copy(r, &j, n);
}

/* ---- after the head --------------------------------------------------------- */

bool speculate_holds(const struct runner *r, const struct seq *s, int row)
{
    int at = r->batch.positions[row];
    return at == s->n_tokens - 1 && r->batch.ids[row] == s->tokens[at];
}

/* To the state after the last true row, or to the one before the step. */
static void go_back(struct runner *r, struct seq *s)
{
    size_t d = (size_t)r->model->hp.hidden_size;
    if (has_state(r->model)) {
        struct copy_job j = {.to = {slots_at(&r->slots, s->slot)}, .from = {s->copy}};
        copy(r, &j, 1);
        s->n_run = s->n_before;
        return;
    }
    s->n_run = s->n_tokens - 1;
    size_t last = (size_t)(s->row0 + s->n_run - 1 - s->n_before);
    memcpy(reuse_row(&r->reuse, s->slot), r->speculate.h + last * d,
           d * sizeof *r->speculate.h);
}

/* The next true rows once more, now. The scratch is beside what the step holds. */
static void replay(struct runner *r, struct seq *s)
{
    struct batch *b = &r->speculate.replay;
    size_t mark = arena_mark(&r->scratch);
    struct ctx c;
    int left = s->n_tokens - 1 - s->n_run;
    s->n_rows = left < b->rows_cap ? left : b->rows_cap;
    batch_reset(b);
    batch_add(b, s, &r->slots, &r->pages);
    runner_forward(r, b, &c);
    arena_release(&r->scratch, mark);
}

void speculate_settle(struct runner *r, struct seq *s, bool exact)
{
    struct draft *d = &s->draft;
    if (d->n == 0)
        return;
    int accepted = s->n_tokens - d->n_known - 1;
    r->speculate.n_proposed += (uint64_t)d->n;
    r->speculate.n_accepted += (uint64_t)(accepted < d->n ? accepted : d->n);
    if (s->n_run > s->n_tokens - 1)
        go_back(r, s);
    while (exact && s->n_run < s->n_tokens - 1)
        replay(r, s);
    draft_learn(d, accepted);
    d->n = 0;
}

void speculate_end(struct runner *r)
{
    for (int i = 0; i < r->batch.n_spans; i++)
        if (r->batch.seqs[i])
            speculate_settle(r, r->batch.seqs[i], false);
}

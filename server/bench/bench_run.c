/* Submitting, stepping, timing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/bench/bench_run.h"

#include "engine/measure.h"

#include <string.h>
#include <time.h>

static const double RUN_SECONDS = 0.5, LIMIT_SECONDS = 0.1;
enum { FIRST_STEPS = 4, LEAST_STEPS = 8 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench_run_event(void *arg, const struct event *ev)
{
    struct bench_events *n = arg;
    n->n_tokens += ev->kind == EVENT_TOKEN;
    n->n_finished += ev->kind == EVENT_FINISH;
    n->n_faults += ev->kind == EVENT_FINISH && ev->reason == FINISH_ERROR;
}

/* ---- requests --------------------------------------------------------------- */

static int submit(const struct bench_engine *b, const struct bench_case *c, uint64_t id,
                  struct err *err)
{
    static int32_t ids[1 << 20]; /* as many as a plan allows */
    size_t n = c->kind == CASE_PREFILL ? (size_t)c->n_tokens : 1;
    uint64_t vocab = (uint64_t)engine_info(b->e)->vocab_size;
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)((id * 7919 + i * 104729) % vocab);
    struct engine_request r = {
        .id = id, .ids = ids, .n_ids = n, .synthetic_tokens = c->depth};
    r.gen =
        (struct gen_params){.max_tokens = c->kind == CASE_PREFILL ? 1 : c->n_tokens + 2,
                            .top_p = 1,
                            .typical_p = 1,
                            .n = 1,
                            .repetition_penalty = 1,
                            .logprobs = -1,
                            .ignore_eos = true};
    int rc = engine_submit(b->e, &r, err);
    if (rc == 0)
        engine_pause(b->e, id, true);
    return rc;
}

/* Admits the case's sequences, which fills them; they stand paused at their depth. */
static int place(const struct bench_engine *b, const struct bench_case *c,
                 struct err *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < c->n_seqs; i++)
        rc = submit(b, c, (uint64_t)i + 1, err);
    if (rc)
        return rc;
    engine_step(b->e, 1);
    for (int i = 0; i < c->n_seqs; i++)
        engine_pause(b->e, (uint64_t)i + 1, false);
    return 0;
}

static void clear(const struct bench_engine *b, const struct bench_case *c)
{
    for (int i = 0; i < c->n_seqs; i++)
        engine_cancel(b->e, (uint64_t)i + 1, FINISH_ABORT);
}

/* ---- counting and timing ---------------------------------------------------- */

static void add_cost(const struct bench_engine *b, const struct engine_batch *step,
                     struct engine_cost *sum)
{
    struct engine_cost one;
    engine_cost(b->e, step, &one);
    sum->weight_bytes += one.weight_bytes;
    sum->state_bytes += one.state_bytes;
    sum->kv_bytes += one.kv_bytes;
    sum->int8_ops += one.int8_ops;
    sum->f32_ops += one.f32_ops;
}

static double run_prefill(const struct bench_engine *b, struct bench_case *c)
{
    int done = 0;
    double begin = now(), took;
    while (done < c->n_tokens && b->events->n_finished == 0)
        done += engine_step(b->e, 1);
    took = now() - begin;
    c->n_emitted = b->events->n_tokens;
    int rows = engine_info(b->e)->step_rows;
    for (int at = 0; at < c->n_tokens; at += rows) {
        int n = c->n_tokens - at < rows ? c->n_tokens - at : rows;
        struct engine_batch step = {1, n, c->depth + at, at + n == c->n_tokens};
        add_cost(b, &step, &c->cost);
    }
    return took;
}

static double run_decode(const struct bench_engine *b, struct bench_case *c)
{
    while (b->events->n_tokens < c->n_seqs && b->events->n_finished == 0)
        engine_step(b->e, 1);
    int before = b->events->n_tokens;
    double begin = now(), took;
    for (int i = 0; i < c->n_tokens; i++)
        engine_step(b->e, 1);
    took = now() - begin;
    c->n_emitted = b->events->n_tokens - before;
    for (int i = 0; i < c->n_tokens; i++) {
        struct engine_batch step = {c->n_seqs, 1, c->depth + 1 + i, c->n_seqs};
        add_cost(b, &step, &c->cost);
    }
    return took;
}

int bench_run_case(const struct bench_engine *b, struct bench_case *c, double *seconds,
                   struct err *err)
{
    *b->events = (struct bench_events){0};
    c->cost = (struct engine_cost){0};
    int rc = place(b, c, err);
    if (rc == 0)
        *seconds = (c->kind == CASE_PREFILL ? run_prefill : run_decode)(b, c);
    clear(b, c);
    if (rc == 0 && b->events->n_faults)
        return err_set(err, ERR_INTERNAL, "a logit was not finite");
    int expected = c->kind == CASE_PREFILL ? 1 : c->n_seqs * c->n_tokens;
    if (rc == 0 && c->n_emitted != expected)
        return err_set(err, ERR_INTERNAL, "a run was to emit %d tokens and emitted %d",
                       expected, c->n_emitted);
    return rc;
}

int bench_run_warm_up(const struct bench_engine *b, struct bench_case *c, struct err *err)
{
    double seconds = 0;
    bool open = c->n_tokens == 0;
    if (open)
        c->n_tokens = FIRST_STEPS;
    int rc = bench_run_case(b, c, &seconds, err);
    if (rc || !open)
        return rc;
    const struct engine_info *in = engine_info(b->e);
    double steps = RUN_SECONDS * FIRST_STEPS / (seconds > 1e-9 ? seconds : 1e-9);
    steps = steps < PLAN_STEPS_MOST ? steps : PLAN_STEPS_MOST;
    c->n_tokens = steps > LEAST_STEPS ? (int)steps : LEAST_STEPS;
    bench_plan_fit(c, in);
    while (!c->fits && c->n_tokens > LEAST_STEPS) {
        c->n_tokens--;
        bench_plan_fit(c, in);
    }
    return 0;
}

int bench_run_peak(struct engine *e, enum engine_peak what, double *a_second,
                   struct err *err)
{
    double one = 0, sum = 0;
    int rc = engine_peak(e, what, &one, err); /* warms up */
    double begin = now(), took = 0;
    while (rc == 0 && took < LIMIT_SECONDS) {
        rc = engine_peak(e, what, &one, err);
        sum += one;
        took = now() - begin;
    }
    if (rc == 0)
        *a_second = sum / took;
    return rc;
}

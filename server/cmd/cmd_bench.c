/*
 * `ssmd bench`: tokens a second beside what the machine allows. Main thread.
 *
 * Each format has an engine of its own. Whole runs alternate: a round is one run of every
 * case, formats side by side; the limits are measured before each round and after the
 * last. When the engines do not fit into memory together only one is held at a time, and
 * a round goes through the formats one after the other. The subtle point: memory is
 * measured in a first round that also warms up, and slots and pages are given back behind
 * every case, so that what is resident is the case's own; but for the scratch, of which
 * what an earlier case of the format touched stays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "server/bench/bench_peer.h"
#include "server/bench/bench_report.h"
#include "server/bench/bench_run.h"
#include "server/cmd/cmd.h"

#include "engine/measure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double FILL = 0.8; /* share of the free memory that is made use of */

struct bench {
    const struct config *cfg;
    struct bench_plan plan;
    struct bench_limits limits;
    struct engine *engines[PLAN_LIST_MOST];  /* owns; by format, NULL = not open */
    struct bench_peer peers[PLAN_LIST_MOST]; /* likewise; zeroed without --peer */
    struct bench_events events;
    size_t before[PLAN_LIST_MOST]; /* bytes resident before its engine was */
    bool together;                 /* every engine stays open */
    struct engine_info info;       /* of the last one opened */
    struct arena arena;            /* owns the plan's cases */
};

/* ---- engines ---------------------------------------------------------------- */

static int open_with(struct bench *b, int format, size_t memory_bytes, struct err *err)
{
    struct engine_options o;
    config_engine_options(b->cfg, &o);
    o.weights = b->plan.formats[format];
    o.max_seqs = b->plan.max_seqs;
    o.speculate = ENGINE_SPECULATE_OFF; /* a step is a token a sequence */
    o.context_tokens = b->plan.context;
    o.memory_bytes = memory_bytes;
    o.prefix_cache = false; /* every run reads its whole prompt */
    o.no_tokenizer = true;
    o.emit = bench_run_event;
    o.emit_arg = &b->events;
    if (engine_open(&b->engines[format], &o, err) != 0) {
        /* Whatever is wrong with a model, unreadable files included, it is the wrong one;
         * the machine's room and our faults are none of the caller's. */
        if (err->code != ERR_MEMORY && err->code != ERR_INTERNAL)
            err->code = ERR_ARGUMENT;
        return -(int)err->code;
    }
    b->info = *engine_info(b->engines[format]);
    for (int i = 0; i < b->plan.n_cases; i++)
        if (b->plan.cases[i].format == format)
            bench_plan_fit(&b->plan.cases[i], &b->info);
    return 0;
}

/* Bytes of the largest case that memory could hold though the engine's own choice does
 * not; 0 = its choice is enough. */
static size_t better_budget(const struct bench *b, int format)
{
    size_t most = 0, room = (size_t)(FILL * (double)engine_available());
    for (int i = 0; i < b->plan.n_cases; i++) {
        const struct bench_case *c = &b->plan.cases[i];
        size_t need = bench_plan_sequences_bytes(c, &b->info);
        if (c->format == format && !c->fits && need <= room && need > most)
            most = need;
    }
    return most ? most + (size_t)b->info.n_slots * b->info.slot_bytes : 0;
}

static void close_engine(struct bench *b, int format)
{
    engine_close(b->engines[format]);
    b->engines[format] = NULL;
}

static int open_engine(struct bench *b, int format, struct err *err)
{
    if (b->engines[format])
        return 0;
    for (int i = 0; i < b->plan.n_formats && !b->together; i++)
        close_engine(b, i);
    size_t given = b->cfg->memory_bytes;
    b->before[format] = host_stats_resident();
    int rc = open_with(b, format, given, err);
    size_t budget = rc || given ? 0 : better_budget(b, format);
    if (budget) {
        close_engine(b, format);
        rc = open_with(b, format, budget, err);
    }
    return rc;
}

/* After the first engine: whether one for every format has room beside it. */
static void choose_order(struct bench *b)
{
    size_t room = engine_available() + b->info.weights_bytes;
    b->together = bench_plan_engines_bytes(&b->plan, &b->info) <= FILL * (double)room;
}

/* The i-th case of a round. */
static struct bench_case *case_at(const struct bench *b, int i)
{
    int n = b->plan.n_formats, each = b->plan.n_cases / n;
    return &b->plan.cases[b->together ? i : i % each * n + i / each];
}

/* ---- rounds ----------------------------------------------------------------- */

static int ask_peer(struct bench *b, const struct bench_case *c, double *seconds,
                    struct err *err)
{
    struct bench_peer *p = &b->peers[c->format];
    *seconds = 0;
    return p->pid ? bench_peer_run(p, c, seconds, err) : 0;
}

static int warm_up(struct bench *b, struct bench_case *c, struct err *err)
{
    struct bench_engine on = {b->engines[c->format], &b->events};
    int rc = bench_run_warm_up(&on, c, err);
    size_t now = host_stats_resident(), before = b->before[c->format];
    c->resident_bytes = now > before ? now - before : 0;
    engine_trim(on.e);
    return rc ? rc : ask_peer(b, c, &c->peer_seconds[0], err);
}

static int first_round(struct bench *b, struct err *err)
{
    int rc = 0;
    choose_order(b);
    for (int f = 0; rc == 0 && f < b->plan.n_formats; f++) {
        rc = open_engine(b, f, err);
        for (int i = 0; rc == 0 && i < b->plan.n_cases; i++) {
            struct bench_case *c = &b->plan.cases[i];
            if (c->format == f && c->fits)
                rc = warm_up(b, c, err);
        }
    }
    return rc;
}

static int measure_limits(struct bench *b, struct err *err)
{
    int open = 0, rc = 0;
    while (!b->engines[open])
        open++;
    for (int i = 0; rc == 0 && i < ENGINE_PEAK_N; i++)
        rc = bench_run_peak(b->engines[open], (enum engine_peak)i,
                            &b->limits.samples[i][b->limits.n], err);
    b->limits.n++;
    return rc;
}

static int round_of(struct bench *b, int run, struct err *err)
{
    int rc = measure_limits(b, err);
    for (int i = 0; rc == 0 && i < b->plan.n_cases; i++) {
        struct bench_case *c = case_at(b, i);
        if (!c->fits)
            continue;
        rc = open_engine(b, c->format, err);
        struct bench_engine on = {b->engines[c->format], &b->events};
        if (rc == 0)
            rc = bench_run_case(&on, c, &c->seconds[run], err);
        if (rc == 0)
            rc = ask_peer(b, c, &c->peer_seconds[run], err);
    }
    return rc;
}

static int run_all(struct bench *b, struct err *err)
{
    bool tell = isatty(STDERR_FILENO) == 1;
    int rc = first_round(b, err);
    for (int run = 0; rc == 0 && run < b->plan.n_runs; run++) {
        if (tell)
            fprintf(stderr, "\rround %d of %d", run + 1, b->plan.n_runs);
        rc = round_of(b, run, err);
    }
    if (tell)
        fputs("\r\033[K", stderr);
    return rc ? rc : measure_limits(b, err);
}

static int open_peers(struct bench *b, struct err *err)
{
    int rc = 0;
    if (!b->cfg->shape[0])
        return err_param(err, ERR_ARGUMENT, "--peer",
                         "--peer: expected a --shape, which both can have");
    for (int f = 0; rc == 0 && f < b->plan.n_formats; f++) {
        const struct bench_peer_options o = {.shape = b->cfg->shape,
                                             .kv = b->info.kv,
                                             .format = b->plan.formats[f],
                                             .threads = b->info.n_threads,
                                             .context = b->plan.context};
        rc = bench_peer_open(&b->peers[f], &o, err);
    }
    return rc;
}

/* ---- the command ------------------------------------------------------------ */

static int print(const struct bench_report *r, bool json, struct err *err)
{
    struct buf out = {0};
    (json ? bench_report_json : bench_report_table)(r, &out);
    int rc = 0;
    if (out.failed || fputs(out.data, stdout) < 0 || fflush(stdout) != 0)
        rc = err_set(err, ERR_IO, "standard output: %s", strerror(errno));
    buf_free(&out);
    return rc;
}

static int bench(struct bench *b, const char *const *values, struct err *err)
{
    struct bench_report r = {.shape = b->cfg->served_name.items[0],
                             .plan = &b->plan,
                             .limits = &b->limits,
                             .info = &b->info};
    host_stats_read(&r.before);
    int rc = open_engine(b, 0, err);
    if (rc == 0 && values[BENCH_PEER])
        rc = open_peers(b, err);
    for (int f = 0; f < b->plan.n_formats; f++)
        r.peer_refusals[f] = b->peers[f].refusal;
    if (rc == 0)
        rc = run_all(b, err);
    host_stats_read(&r.after);
    r.order = b->plan.n_formats == 1 ? "cases in turn"
              : b->together          ? "formats side by side in every round"
                                     : "formats one after the other in every round";
    return rc ? rc : print(&r, values[BENCH_JSON] != NULL, err);
}

int cmd_bench(const struct config *cfg, const char *const *values)
{
    struct bench *b = mem_zalloc(1, sizeof *b);
    struct err err = {0};
    if (!b) {
        err_set(&err, ERR_MEMORY, "out of memory for a benchmark");
        return cmd_fail(CMD_FAILED, &err);
    }
    b->cfg = cfg;
    arena_init(&b->arena);
    const struct bench_lists lists = {.prefill = values[BENCH_PREFILL],
                                      .decode = values[BENCH_DECODE],
                                      .depth = values[BENCH_DEPTH],
                                      .format = values[BENCH_FORMAT],
                                      .runs = values[BENCH_RUNS]};
    int rc = bench_plan_make(&b->plan, &lists, cfg->weights, &b->arena, &err);
    if (rc == 0)
        rc = bench(b, values, &err);
    for (int i = 0; i < b->plan.n_formats; i++) {
        close_engine(b, i);
        bench_peer_close(&b->peers[i]);
    }
    arena_free(&b->arena);
    mem_free(b);
    return rc ? cmd_fail(cmd_blame(&err), &err) : CMD_OK;
}

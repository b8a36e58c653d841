/*
 * One run of one case, and the machine's limits: the only place where a benchmark reads
 * the clock. Main thread, which is the engine's thread here: nothing else runs.
 *
 * A run begins with sequences at their depth, filled by the engine and not counted, and
 * times whole steps. The subtle point: the first step of decoding reads a token that
 * nobody sampled; it is not timed either. Refuses a run that emits other than the tokens
 * that are counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_BENCH_BENCH_RUN_H
#define SERVER_BENCH_BENCH_RUN_H

#include "server/bench/bench_plan.h"

/* What an engine opened for measuring emits to; zeroed before use. */
struct bench_events {
    int n_tokens, n_finished, n_faults;
};
engine_emit_fn bench_run_event; /* its emit function; arg: struct bench_events */

struct bench_engine {
    struct engine *e;
    struct bench_events *events;
};

/* Seconds of the case's tokens. Its cost is filled in, too. The errors of submit;
 * ERR_INTERNAL when a logit was not finite or the tokens were not as many. */
int bench_run_case(const struct bench_engine *b, struct bench_case *c, double *seconds,
                   struct err *err);

/* Runs the case once to warm up, and settles how many tokens a run of decoding has, so
 * that it takes about half a second. */
int bench_run_warm_up(const struct bench_engine *b, struct bench_case *c,
                      struct err *err);

/* Bytes or operations a second, over some 100 ms. ERR_MEMORY. */
int bench_run_peak(struct engine *e, enum engine_peak what, double *a_second,
                   struct err *err);

#endif

/*
 * What `ssmd bench` measures: the cases of its lists, in the order in which they
 * alternate. Main thread. Refuses a list that is no list of numbers in range.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_BENCH_BENCH_PLAN_H
#define SERVER_BENCH_BENCH_PLAN_H

#include "engine/base/arena.h"
#include "engine/engine.h"

enum { PLAN_RUNS_MOST = 99, PLAN_LIST_MOST = 16, PLAN_STEPS_MOST = 512 };

enum case_kind { CASE_PREFILL, CASE_DECODE };

struct bench_case {
    enum case_kind kind;
    int format;   /* place in the plan's list */
    int n_seqs;   /* that run together; prefill: 1 */
    int depth;    /* tokens before the first that is measured; filled, not computed */
    int n_tokens; /* prefill: of the prompt; decode: of each sequence in a run, 0 = not
                   * yet known */
    bool fits;
    char held[8];            /* what its engine holds matrices as: "bf16", "mixed" */
    size_t memory_bytes;     /* counted: weights, scratch, states, pages */
    size_t resident_bytes;   /* measured: what the system says */
    size_t state_bytes;      /* fixed state of a sequence */
    int n_emitted;           /* tokens that a run gave: prefill 1, decode all */
    double kv_bytes;         /* keys and values of a token of a sequence, as held */
    struct engine_cost cost; /* of one run */
    double seconds[PLAN_RUNS_MOST];
    double peer_seconds[PLAN_RUNS_MOST]; /* of as many tokens; 0 = not measured */
};

struct bench_plan {
    enum engine_weights formats[PLAN_LIST_MOST];
    int n_formats;
    struct bench_case *cases; /* borrows from the arena; formats change fastest */
    int n_cases, n_runs;
    int context, max_seqs; /* that hold every case */
};

/* The lists as given on the command line; NULL = absent. */
struct bench_lists {
    const char *prefill, *decode, *depth, *format, *runs;
};

/* Without prefill and decode a short set of both; without format the one given.
 * ERR_ARGUMENT naming the flag, ERR_MEMORY. */
int bench_plan_make(struct bench_plan *p, const struct bench_lists *lists,
                    enum engine_weights format, struct arena *a, struct err *err);

const char *bench_plan_format(enum engine_weights format); /* its name */

/* Tokens of a run, all sequences together. */
double bench_plan_tokens(const struct bench_case *c);

/* Whether the engine can hold the case, and what it needs: fills fits, held,
 * memory_bytes, state_bytes and kv_bytes. While the tokens of decoding are not known, for
 * a few. */
void bench_plan_fit(struct bench_case *c, const struct engine_info *in);

/* Bytes of states and pages that the case needs. */
size_t bench_plan_sequences_bytes(const struct bench_case *c,
                                  const struct engine_info *in);

/* Bytes of an engine for every format side by side, each with the largest of its cases.
 * first: of the first format's engine, by which its cases have been fitted; the others'
 * weights are reckoned from its. */
double bench_plan_engines_bytes(const struct bench_plan *p,
                                const struct engine_info *first);

#endif

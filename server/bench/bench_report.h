/*
 * What a benchmark found, as a table for people or one JSON object. Main thread.
 *
 * Fractions are of the median run against the median of the limits measured in the same
 * call: bytes over time over the read limit, and the sum of each kind of operation over
 * its own limit over time. A limit of 0 was not measured, for want of instructions that
 * reach it: it and its fractions print as such, null in JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_BENCH_BENCH_REPORT_H
#define SERVER_BENCH_BENCH_REPORT_H

#include "engine/base/buf.h"
#include "server/bench/bench_plan.h"
#include "server/bench/host_stats.h"

struct bench_limits {
    double samples[ENGINE_PEAK_N][PLAN_RUNS_MOST + 1]; /* bytes or operations a second */
    int n;
};

struct bench_report {
    const char *shape;
    const struct bench_plan *plan;
    const struct bench_limits *limits;
    const struct engine_info *info; /* of any of its engines */
    struct host_stats before, after;
    const char *order;                         /* in which the runs alternated */
    const char *peer_refusals[PLAN_LIST_MOST]; /* by format; NULL or "": none */
};

void bench_report_table(const struct bench_report *r, struct buf *out);

/* {"limits": {"memory_gb_s", "f32_gflop_s", "int8_gop_s"},
 *  "machine": {"cpu", "threads", "runs", "order", "load_before", "load_after", "steal",
 *              "peak_resident_bytes", "parameters"},
 *  "results": [{"shape", "case", "format", "kv", "sequences", "depth", "tokens", "fits",
 *               "state_bytes", "kv_bytes", "memory_bytes", "tokens_s", "bytes_per_token",
 *               "ops_per_token", "of_memory_limit", "of_compute_limit", ...}]}
 * depth: tokens before the first that is measured; tokens: those measured behind it, of
 * the prompt or of each sequence in a run; state_bytes: of a sequence; kv_bytes: of a
 * token; peak_resident_bytes: the largest resident_bytes of the cases. What does not fit
 * has null rates and no members behind them. A format that the peer does not run has its
 * words as "peer_refusal". */
void bench_report_json(const struct bench_report *r, struct buf *out);

#endif

/*
 * What the process counts, and the Prometheus page. Loop thread only; nothing here waits.
 *
 * Every family and every label combination is on the page from the first scrape. Label
 * values are bounded: route templates, known status codes, enumerations.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_METRICS_H
#define SERVER_SERVE_METRICS_H

#include "api/tools/answer_parser.h"
#include "engine/base/buf.h"
#include "engine/engine.h"
#include "server/http/http.h"
#include "server/serve/bridge.h"
#include "server/serve/process.h"
#include "server/storage/ledger.h"

#include <stdbool.h>
#include <stdint.h>

enum { METRICS_BOUNDS = 20, METRICS_MAX_ROUTES = 32, METRICS_MAX_CODES = 20 };

enum metrics_rejected {
    REJECTED_QUEUE_FULL,
    REJECTED_QUEUE_TIMEOUT,
    REJECTED_MEMORY,
    REJECTED_CONNECTIONS,
    REJECTED_LOADING,
    REJECTED_DRAINING,
    REJECTED_ENGINE,
    REJECTED_RATE,    /* of a tenant */
    REJECTED_RUNNING, /* of a tenant */
    REJECTED_N
};

/* What is done with the state directory. */
enum metrics_disk { DISK_READ, DISK_WRITE, DISK_DELETE, DISK_LIST, DISK_N };

enum metrics_timing {
    TIMING_FIRST_TOKEN,
    TIMING_INTER_TOKEN,
    TIMING_REQUEST,
    TIMING_QUEUE,
    TIMING_PREFILL,
    TIMING_DECODE,
    TIMING_LOOP_DELAY,
    TIMING_TEMPLATE,
    TIMING_N
};

struct histogram {
    uint64_t bucket[METRICS_BOUNDS], n; /* not cumulative; the last is +Inf */
    double sum;
};

struct metrics { /* zeroed = nothing counted */
    uint64_t http[METRICS_MAX_ROUTES][METRICS_MAX_CODES];
    uint64_t finished[FINISH_N];
    uint64_t rejected[REJECTED_N];
    uint64_t prompt_tokens, cached_tokens, generated_tokens, unknown_fields;
    uint64_t reasoning_tokens, tool_failures[TOOL_FORMAT_N];
    uint64_t states_saved, states_loaded, states_rejected; /* objects */
    uint64_t disk_errors[DISK_N];
    struct histogram timing[TIMING_N];
};

/* What is true at the moment of a scrape. */
struct metrics_now {
    int running, waiting;
    struct http_counts http;
    bool ready, draining, vllm_names;
    uint64_t stream_buffer_bytes, request_bytes_used, request_bytes_limit;
    const char *served_name;
    const struct engine_info *info; /* NULL while loading */
    struct ledger_sums states;
    uint64_t states_limit; /* bytes of all of them; 0: no limit */
    struct bridge_stats stats;
    struct process_stats process;
};

/* The word of ssmd_requests_finished_total{reason} for it. */
const char *metrics_reason(enum finish_reason why);

/* label: route_find's. An unknown code counts as 500. 499 = the client left first. */
void metrics_http(struct metrics *m, unsigned label, int code);
void metrics_time(struct metrics *m, enum metrics_timing which, double seconds);

/* Counts rc if the operating system was at fault (ERR_IO, ERR_STORAGE), not the client. */
void metrics_disk(struct metrics *m, enum metrics_disk op, int rc);

void metrics_page(const struct metrics *m, const struct metrics_now *now,
                  struct buf *out);

#endif

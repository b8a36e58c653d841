/* The page, family by family. A family is announced once, then its series follow.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/metrics.h"

#include "server/serve/route.h"

#include <math.h>
#include <string.h>

#ifndef SSMD_VERSION
#define SSMD_VERSION "unknown"
#endif

static const int codes[] = {200, 201, 204, 400, 401, 404, 405, 408, 409, 413,
                            414, 415, 429, 431, 499, 500, 503, 505, 507};
enum { N_CODES = sizeof codes / sizeof *codes };

static const double bounds[METRICS_BOUNDS] = {
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1,
    2.5,   5,      10,    20,   40,   80,   160, 320,  640, INFINITY};

static const char *const reasons[FINISH_N] = {"stop",    "length", "abort",
                                              "timeout", "error",  "drain"};
static const char *const rejections[REJECTED_N] = {
    "queue_full", "queue_timeout", "memory", "connections", "loading",
    "draining",   "engine",        "rate",   "running"};
static const char *const lost[ENGINE_MISS_N] = {
    [ENGINE_MISS_NO_CHECKPOINT] = "no_checkpoint",
    [ENGINE_MISS_EVICTED] = "evicted",
    [ENGINE_MISS_SALT] = "salt",
    [ENGINE_MISS_RETOKENISED] = "retokenised"};
static const char *const checkpoint_ops[] = {"create", "hit",  "evict",
                                             "save",   "load", "reject"};

static const char *const disk_ops[DISK_N] = {[DISK_READ] = "read",
                                             [DISK_WRITE] = "write",
                                             [DISK_DELETE] = "delete",
                                             [DISK_LIST] = "list"};

static const struct {
    const char *name, *help;
} timings[TIMING_N] = {
    [TIMING_FIRST_TOKEN] = {"ssmd_time_to_first_token_seconds",
                            "From a request's arrival to its first token."},
    [TIMING_INTER_TOKEN] = {"ssmd_inter_token_seconds",
                            "Between two tokens of one choice, as the loop saw them."},
    [TIMING_REQUEST] = {"ssmd_request_seconds",
                        "From a completion request's arrival to its last event."},
    [TIMING_QUEUE] = {"ssmd_queue_seconds",
                      "From submission to admission by the engine."},
    [TIMING_PREFILL] = {"ssmd_prefill_seconds", "From admission to the prompt's end."},
    [TIMING_DECODE] = {"ssmd_decode_seconds", "From the prompt's end to the last token."},
    [TIMING_LOOP_DELAY] =
        {"ssmd_loop_delay_seconds",
         "From the engine's wake-up of the event loop to its callback."},
    [TIMING_TEMPLATE] = {"ssmd_template_seconds",
                         "Rendering a conversation by the chat template."},
};

/* ---- counting --------------------------------------------------------------- */

const char *metrics_reason(enum finish_reason why)
{
    return reasons[why];
}

void metrics_http(struct metrics *m, unsigned label, int code)
{
    int i = 0;
    while (i < N_CODES && codes[i] != code)
        i++;
    if (i == N_CODES)
        return metrics_http(m, label, 500);
    m->http[label < METRICS_MAX_ROUTES ? label : METRICS_MAX_ROUTES - 1][i]++;
}

void metrics_time(struct metrics *m, enum metrics_timing which, double seconds)
{
    struct histogram *h = &m->timing[which];
    int i = 0;
    while (i < METRICS_BOUNDS - 1 && seconds > bounds[i])
        i++;
    h->bucket[i]++;
    h->n++;
    h->sum += seconds;
}

void metrics_disk(struct metrics *m, enum metrics_disk op, int rc)
{
    m->disk_errors[op] += rc == -ERR_IO || rc == -ERR_STORAGE;
}

/* ---- writing ---------------------------------------------------------------- */

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buf *out, double x)
{
    buf_json_number(out, x);
    buf_putc(out, '\n');
}

static void gauge(struct buf *out, const char *name, const char *help, double x)
{
    family(out, name, "gauge", help);
    buf_printf(out, "%s ", name);
    number(out, x);
}

static void counter(struct buf *out, const char *name, const char *help, double x)
{
    family(out, name, "counter", help);
    buf_printf(out, "%s ", name);
    number(out, x);
}

static void labelled(struct buf *out, const char *name, const char *label,
                     const char *value, uint64_t n)
{
    buf_printf(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)n);
}

/* A label value of any content: backslash, quote and newline are escaped. */
static void label_text(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\n')
            buf_puts(out, "\\n");
        else if (*s == '"' || *s == '\\')
            buf_printf(out, "\\%c", *s);
        else
            buf_putc(out, *s);
    }
}

static void label(struct buf *out, const char *name, const char *value, const char *after)
{
    buf_printf(out, "%s=\"", name);
    label_text(out, value);
    buf_printf(out, "\"%s", after);
}

struct series { /* a histogram to be written */
    const double *bounds;
    const uint64_t *bucket;
    int n;
    double sum;
};

static void histogram(struct buf *out, const char *name, const char *help,
                      const struct series *s)
{
    family(out, name, "histogram", help);
    uint64_t total = 0;
    for (int i = 0; i < s->n - 1; i++) {
        total += s->bucket[i];
        buf_printf(out, "%s_bucket{le=\"", name);
        buf_json_number(out, s->bounds[i]);
        buf_printf(out, "\"} %llu\n", (unsigned long long)total);
    }
    total += s->bucket[s->n - 1];
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum ", name,
               (unsigned long long)total, name);
    number(out, s->sum);
    buf_printf(out, "%s_count %llu\n", name, (unsigned long long)total);
}

static void write_http(const struct metrics *m, struct buf *out)
{
    static const char name[] = "ssmd_http_requests_total";
    family(out, name, "counter", "Answered HTTP requests by route template and status.");
    unsigned n = route_labels();
    for (unsigned r = 0; r < n && r < METRICS_MAX_ROUTES; r++) {
        const char *route = route_label(r);
        for (int c = 0; c < N_CODES; c++)
            buf_printf(out, "%s{route=\"%s\",code=\"%d\"} %llu\n", name, route, codes[c],
                       (unsigned long long)m->http[r][c]);
    }
}

static void write_counters(const struct metrics *m, struct buf *out)
{
    write_http(m, out);
    family(out, "ssmd_requests_finished_total", "counter", "Choices by how they ended.");
    for (int i = 0; i < FINISH_N; i++)
        labelled(out, "ssmd_requests_finished_total", "reason", reasons[i],
                 m->finished[i]);
    family(out, "ssmd_requests_rejected_total", "counter", "Requests turned away.");
    for (int i = 0; i < REJECTED_N; i++)
        labelled(out, "ssmd_requests_rejected_total", "reason", rejections[i],
                 m->rejected[i]);
    counter(out, "ssmd_prompt_tokens_total", "Prompt tokens of finished requests.",
            (double)m->prompt_tokens);
    counter(out, "ssmd_prompt_tokens_cached_total",
            "Of those, taken from a stored prefix.", (double)m->cached_tokens);
    counter(out, "ssmd_generation_tokens_total", "Tokens generated.",
            (double)m->generated_tokens);
    counter(out, "ssmd_reasoning_tokens_total", "Of those, in reasoning.",
            (double)m->reasoning_tokens);
    family(out, "ssmd_tool_parse_failures_total", "counter",
           "Tool calls that were broken or cut, and stayed content.");
    for (int i = TOOL_FORMAT_NONE + 1; i < TOOL_FORMAT_N; i++)
        labelled(out, "ssmd_tool_parse_failures_total", "form",
                 tool_format_name((enum tool_format)i), m->tool_failures[i]);
    counter(out, "ssmd_unknown_fields_total", "Request fields that no table knows.",
            (double)m->unknown_fields);
}

static void write_prefixes(const struct metrics *m, const struct metrics_now *now,
                           struct buf *out)
{
    const struct engine_stats *l = &now->stats.engine;
    const uint64_t ops[] = {l->checkpoints_created, l->checkpoints_hit,
                            l->checkpoints_evicted, m->states_saved,
                            m->states_loaded,       m->states_rejected};
    family(out, "ssmd_prefix_lost_tokens_total", "counter",
           "Prompt tokens recomputed although something like them had been stored.");
    for (size_t i = 0; i < ENGINE_MISS_N; i++)
        labelled(out, "ssmd_prefix_lost_tokens_total", "why", lost[i],
                 l->tokens_missed[i]);
    family(out, "ssmd_checkpoints_total", "counter", "Stored prefixes by what happened.");
    for (size_t i = 0; i < sizeof checkpoint_ops / sizeof *checkpoint_ops; i++)
        labelled(out, "ssmd_checkpoints_total", "op", checkpoint_ops[i], ops[i]);
}

static void by_kind(struct buf *out, const char *name, const char *help, uint64_t client,
                    uint64_t persisted)
{
    family(out, name, "gauge", help);
    labelled(out, name, "kind", "client", client);
    labelled(out, name, "kind", "persisted", persisted);
}

static void write_state_dir(const struct metrics *m, const struct metrics_now *now,
                            struct buf *out)
{
    static const char errors[] = "ssmd_state_dir_errors_total";
    const struct ledger_use *c = &now->states.clients, *p = &now->states.persisted;
    by_kind(out, "ssmd_state_dir_bytes", "Bytes under state.dir.", c->bytes, p->bytes);
    by_kind(out, "ssmd_state_dir_objects", "Files under state.dir.", c->n, p->n);
    by_kind(out, "ssmd_state_dir_limit_bytes",
            "state.total_bytes, which both kinds share; 0: no limit.", now->states_limit,
            now->states_limit);
    family(out, errors, "counter", "Faults of the disk under state.dir.");
    for (int i = 0; i < DISK_N; i++)
        labelled(out, errors, "op", disk_ops[i], m->disk_errors[i]);
}

static void write_speculation(const struct metrics_now *now, struct buf *out)
{
    static const char name[] = "ssmd_speculated_tokens_total";
    uint64_t accepted = now->stats.engine.tokens_accepted;
    family(out, name, "counter", "Proposed tokens by whether they were said.");
    labelled(out, name, "result", "accepted", accepted);
    labelled(out, name, "result", "rejected",
             now->stats.engine.tokens_proposed - accepted);
}

static double usage_ratio(const struct metrics_now *now)
{
    if (!now->info)
        return 0;
    double pages = now->info->n_pages
                       ? (double)now->stats.engine.pages_used / now->info->n_pages
                       : 0;
    double slots = now->info->n_slots
                       ? (double)now->stats.engine.slots_used / now->info->n_slots
                       : 0;
    return fmin(fmax(pages, slots), 1);
}

static void write_cache_config(const struct metrics_now *now, const char *name,
                               struct buf *out)
{
    family(out, name, "gauge", "Tokens of a page and number of pages.");
    buf_printf(out, "%s{block_size=\"%d\",num_gpu_blocks=\"%d\"} 1\n", name,
               now->info ? now->info->page_tokens : 0,
               now->info ? now->info->n_pages : 0);
}

static void write_info(const struct metrics_now *now, struct buf *out)
{
    const struct engine_info *i = now->info;
    family(out, "ssmd_model_info", "gauge", "The model that is served.");
    buf_puts(out, "ssmd_model_info{");
    label(out, "model", now->served_name, ",");
    label(out, "arch", i ? i->arch : "", ",");
    label(out, "weights", i ? i->weights : "", ",");
    label(out, "cpu", i ? i->cpu : "", ",");
    label(out, "hash", i ? i->model_hash : "", "} 1\n");
    family(out, "ssmd_build_info", "gauge", "The program.");
    buf_puts(out, "ssmd_build_info{");
    label(out, "version", SSMD_VERSION, ",");
    label(out, "compiler", __VERSION__, "} 1\n");
}

static void write_sockets(const struct http_counts *h, struct buf *out)
{
    gauge(out, "ssmd_open_connections", "Client sockets.", h->connections);
    counter(out, "ssmd_refused_connections_total",
            "Connections that were ended unanswered to make room, or for lack of it.",
            (double)h->refused_connections);
    counter(out, "ssmd_http_library_refusals_total",
            "Answers that the HTTP library gave by itself.", (double)h->library_refusals);
}

static void write_gauges(const struct metrics_now *now, struct buf *out)
{
    const struct engine_info *i = now->info;
    gauge(out, "ssmd_requests_running", "Jobs the engine works on.", now->running);
    gauge(out, "ssmd_requests_waiting", "Jobs in the queue.", now->waiting);
    gauge(out, "ssmd_cache_usage_ratio", "The larger of pages and slots in use, 0..1.",
          usage_ratio(now));
    write_cache_config(now, "ssmd_cache_config_info", out);
    gauge(out, "ssmd_kv_pages_used", "Pages in use.", now->stats.engine.pages_used);
    gauge(out, "ssmd_kv_pages_limit", "Pages there are.", i ? i->n_pages : 0);
    gauge(out, "ssmd_state_slots_used", "State slots in use.",
          now->stats.engine.slots_used);
    gauge(out, "ssmd_state_slots_limit", "State slots there are.", i ? i->n_slots : 0);
    gauge(out, "ssmd_checkpoints_used", "Stored prefixes.",
          now->stats.engine.checkpoints);
    gauge(out, "ssmd_checkpoints_limit",
          "Stored prefixes that the memory plan holds while nothing runs; 0: none ever.",
          i ? i->most_checkpoints : 0);
    gauge(out, "ssmd_checkpoint_interval_tokens",
          "Tokens between checkpoints of a long prompt; 0: none on its way.",
          i ? i->checkpoint_interval : 0);
    gauge(out, "ssmd_checkpoint_bytes", "Bytes that stored prefixes alone hold.",
          (double)now->stats.engine.checkpoint_bytes);
    gauge(out, "ssmd_ready",
          "1 when the model is loaded, the engine steps and no drain has begun.",
          now->ready);
    gauge(out, "ssmd_draining", "1 after SIGTERM.", now->draining);
    write_sockets(&now->http, out);
    gauge(out, "ssmd_stream_buffer_bytes", "Bytes that clients have not read yet.",
          (double)now->stream_buffer_bytes);
    gauge(out, "ssmd_request_bytes_used", "Bytes that requests hold before admission.",
          (double)now->request_bytes_used);
    gauge(out, "ssmd_request_bytes_limit", "Bytes that they may hold.",
          (double)now->request_bytes_limit);
    write_info(now, out);
}

static void write_process(const struct process_stats *p, struct buf *out)
{
    counter(out, "process_cpu_seconds_total", "User and system time.", p->cpu_seconds);
    gauge(out, "process_start_time_seconds", "Unix time of the start.",
          p->start_unix_seconds);
    gauge(out, "process_resident_memory_bytes", "Resident memory.",
          (double)p->resident_bytes);
    gauge(out, "process_virtual_memory_bytes", "Virtual memory.",
          (double)p->virtual_bytes);
    gauge(out, "process_open_fds", "Open file descriptors.", (double)p->open_fds);
    gauge(out, "process_max_fds", "Most file descriptors.", (double)p->max_fds);
}

/* The names an unconfigured inference picker looks for. */
static void write_vllm(const struct metrics_now *now, struct buf *out)
{
    static const char *const ratios[] = {"vllm:gpu_cache_usage_perc",
                                         "vllm:kv_cache_usage_perc"};
    gauge(out, "vllm:num_requests_running", "As ssmd_requests_running.", now->running);
    gauge(out, "vllm:num_requests_waiting", "As ssmd_requests_waiting.", now->waiting);
    for (int i = 0; i < 2; i++)
        gauge(out, ratios[i], "As ssmd_cache_usage_ratio.", usage_ratio(now));
    write_cache_config(now, "vllm:cache_config_info", out);
}

void metrics_page(const struct metrics *m, const struct metrics_now *now, struct buf *out)
{
    write_gauges(now, out);
    write_counters(m, out);
    write_prefixes(m, now, out);
    write_state_dir(m, now, out);
    write_speculation(now, out);
    for (int i = 0; i < TIMING_N; i++)
        histogram(out, timings[i].name, timings[i].help,
                  &(struct series){bounds, m->timing[i].bucket, METRICS_BOUNDS,
                                   m->timing[i].sum});
    histogram(out, "ssmd_step_seconds", "Time of one engine step.",
              &(struct series){bridge_second_bounds, now->stats.steps.seconds,
                               BRIDGE_STEP_BUCKETS, now->stats.steps.sum_seconds});
    histogram(out, "ssmd_step_rows", "Rows of one engine step.",
              &(struct series){bridge_row_bounds, now->stats.steps.rows,
                               BRIDGE_ROW_BUCKETS, now->stats.steps.sum_rows});
    write_process(&now->process, out);
    if (now->vllm_names)
        write_vllm(now, out);
}

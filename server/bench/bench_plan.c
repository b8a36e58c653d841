/* From lists to cases.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/bench/bench_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MOST = 1 << 23,
    TOKENS_MOST = 1 << 20,
    SEQS_MOST = 4096,
    FEW_STEPS = 8,
    SPARE = 3
};

static const char *const format_names[] = {[ENGINE_WEIGHTS_OWN] = "own",
                                           [ENGINE_WEIGHTS_F32] = "f32",
                                           [ENGINE_WEIGHTS_BF16] = "bf16",
                                           [ENGINE_WEIGHTS_Q8] = "q8",
                                           [ENGINE_WEIGHTS_Q4] = "q4"};
enum { N_FORMATS = sizeof format_names / sizeof *format_names };

struct list {
    int values[PLAN_LIST_MOST];
    int n;
};

/* ---- reading ---------------------------------------------------------------- */

static int wrong(struct err *err, const char *flag, const char *expected,
                 const char *found)
{
    return err_param(err, ERR_ARGUMENT, flag,
                     "%s: expected %s separated by commas, at most %d, found \"%.40s\"",
                     flag, expected, PLAN_LIST_MOST, found);
}

static int read_numbers(struct list *l, const char *flag, const char *text, long min,
                        long max, struct err *err)
{
    char expected[64], *end;
    const char *p = text;
    snprintf(expected, sizeof expected, "integers from %ld to %ld", min, max);
    for (l->n = 0; p; p = *end ? end + 1 : NULL) {
        errno = 0;
        long x = strtol(p, &end, 10);
        bool good = *p >= '0' && *p <= '9' && !errno && x >= min && x <= max;
        if (!good || (*end && *end != ',') || l->n == PLAN_LIST_MOST)
            return wrong(err, flag, expected, p);
        l->values[l->n++] = (int)x;
    }
    return 0;
}

static int read_formats(struct bench_plan *p, const char *text, struct err *err)
{
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t len = strcspn(at, ",");
        int found = -1;
        for (int i = 0; i < N_FORMATS; i++)
            if (strlen(format_names[i]) == len && memcmp(format_names[i], at, len) == 0)
                found = i;
        if (found < 0 || p->n_formats == PLAN_LIST_MOST)
            return wrong(err, "--format", "own, f32, bf16, q8 or q4", at);
        p->formats[p->n_formats++] = (enum engine_weights)found;
    }
    return 0;
}

/* ---- cases ------------------------------------------------------------------ */

struct maker {
    struct bench_plan *p;
    const struct list *depths;
};

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* One case for each depth and format. */
static void add_cases(const struct maker *m, struct bench_case like)
{
    struct bench_plan *p = m->p;
    int most = like.kind == CASE_PREFILL ? like.n_tokens : PLAN_STEPS_MOST;
    p->max_seqs = larger(p->max_seqs, like.n_seqs);
    for (int d = 0; d < m->depths->n; d++)
        for (like.format = 0; like.format < p->n_formats; like.format++) {
            like.depth = m->depths->values[d];
            p->context = larger(p->context, like.depth + most + SPARE);
            p->cases[p->n_cases++] = like;
        }
}

int bench_plan_make(struct bench_plan *p, const struct bench_lists *lists,
                    enum engine_weights format, struct arena *a, struct err *err)
{
    bool neither = !lists->prefill && !lists->decode;
    const char *prefill = neither ? "512" : lists->prefill;
    const char *decode = neither ? "1,16" : lists->decode;
    struct list prompts = {0}, seqs = {0}, depths = {0}, runs = {0};
    *p = (struct bench_plan){.formats = {format}, .n_formats = !lists->format};
    int rc = read_numbers(&prompts, "--prefill", prefill, 1, TOKENS_MOST, err);
    if (rc == 0)
        rc = read_numbers(&seqs, "--decode", decode, 1, SEQS_MOST, err);
    if (rc == 0)
        rc = read_numbers(&depths, "--depth", lists->depth ? lists->depth : "0,4096", 0,
                          DEPTH_MOST, err);
    if (rc == 0)
        rc = read_numbers(&runs, "--runs", lists->runs ? lists->runs : "5", 1,
                          PLAN_RUNS_MOST, err);
    if (rc == 0 && runs.n != 1)
        rc = err_param(err, ERR_ARGUMENT, "--runs", "--runs: expected one number");
    if (rc == 0)
        rc = read_formats(p, lists->format, err);
    if (rc)
        return rc;
    p->n_runs = runs.values[0];
    size_t n = (size_t)((prompts.n + seqs.n) * depths.n * p->n_formats);
    p->cases = arena_zalloc(a, n, sizeof *p->cases);
    if (!p->cases)
        return err_set(err, ERR_MEMORY, "out of memory for %zu cases", n);
    struct maker m = {p, &depths};
    for (int i = 0; i < prompts.n; i++)
        add_cases(&m, (struct bench_case){.kind = CASE_PREFILL,
                                          .n_seqs = 1,
                                          .n_tokens = prompts.values[i]});
    for (int i = 0; i < seqs.n; i++)
        add_cases(&m, (struct bench_case){.kind = CASE_DECODE, .n_seqs = seqs.values[i]});
    return 0;
}

const char *bench_plan_format(enum engine_weights format)
{
    return format_names[format];
}

double bench_plan_tokens(const struct bench_case *c)
{
    return (double)c->n_seqs * c->n_tokens;
}

/* ---- memory ----------------------------------------------------------------- */

/* A sequence's pages at the end of a run, with the token that begins decoding. */
static size_t pages_of(const struct bench_case *c, const struct engine_info *in)
{
    size_t tokens = (size_t)c->depth + SPARE;
    tokens += (size_t)(c->n_tokens ? c->n_tokens : FEW_STEPS);
    size_t page = (size_t)in->page_tokens;
    return in->page_bytes ? (tokens + page - 1) / page : 0;
}

size_t bench_plan_sequences_bytes(const struct bench_case *c,
                                  const struct engine_info *in)
{
    return (size_t)c->n_seqs * (in->slot_bytes + pages_of(c, in) * in->page_bytes);
}

void bench_plan_fit(struct bench_case *c, const struct engine_info *in)
{
    snprintf(c->held, sizeof c->held, "%s", in->weights ? in->weights : "");
    c->state_bytes = in->slot_bytes;
    c->kv_bytes = (double)in->page_bytes / in->page_tokens;
    c->memory_bytes =
        in->weights_bytes + in->scratch_bytes + bench_plan_sequences_bytes(c, in);
    c->fits = c->n_seqs <= in->n_slots &&
              (size_t)c->n_seqs * pages_of(c, in) <= (size_t)in->n_pages;
}

double bench_plan_engines_bytes(const struct bench_plan *p,
                                const struct engine_info *first)
{
    /* Bytes of a weight; what a file has is at most an f32. */
    static const double each[] = {[ENGINE_WEIGHTS_OWN] = 4,
                                  [ENGINE_WEIGHTS_F32] = 4,
                                  [ENGINE_WEIGHTS_BF16] = 2,
                                  [ENGINE_WEIGHTS_Q8] = 34 / 32.0,
                                  [ENGINE_WEIGHTS_Q4] = 18 / 32.0};
    bool own = p->formats[0] == ENGINE_WEIGHTS_OWN;
    double weights = (double)first->weights_bytes, rest = 0;
    double n = own ? (double)first->n_params : weights / each[p->formats[0]];
    for (int i = 0; i < p->n_cases; i++) {
        const struct bench_case *c = &p->cases[i];
        double more = (double)c->memory_bytes - weights;
        if (c->format == 0 && c->fits && more > rest)
            rest = more;
    }
    for (int f = 1; f < p->n_formats; f++)
        weights += n * each[p->formats[f]];
    return weights + rest * p->n_formats;
}

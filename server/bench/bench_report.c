/* Medians, fractions, and how they are written.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/bench/bench_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct spread {
    double median, min, max;
};

static struct spread spread_of(const double *x, int n)
{
    double sorted[PLAN_RUNS_MOST + 1];
    memcpy(sorted, x, (size_t)n * sizeof *x);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    double lower = sorted[(n - 1) / 2], upper = sorted[n / 2];
    return (struct spread){(lower + upper) / 2, sorted[0], sorted[n - 1]};
}

/* NaN: not measured; and so is what is reckoned with it. */
static double peak_of(const struct bench_report *r, enum engine_peak what)
{
    double median = spread_of(r->limits->samples[what], r->limits->n).median;
    return median > 0 ? median : NAN;
}

static size_t peak_bytes(const struct bench_plan *p)
{
    size_t most = 0;
    for (int i = 0; i < p->n_cases; i++)
        if (p->cases[i].resident_bytes > most)
            most = p->cases[i].resident_bytes;
    return most;
}

/* One case's figures; a rate counts a token of any of its sequences. */
struct row {
    struct spread seconds;
    double tokens_s, bytes, int8_ops, f32_ops, of_memory, of_compute;
    struct spread ratio; /* of a pair's times, the peer's over ours; 0 = not measured */
};

static struct spread peer_ratio(const struct bench_case *c, int n_runs)
{
    double ratios[PLAN_RUNS_MOST];
    for (int i = 0; i < n_runs; i++)
        ratios[i] = c->peer_seconds[i] / c->seconds[i];
    return spread_of(ratios, n_runs);
}

static struct row row_of(const struct bench_report *r, const struct bench_case *c)
{
    struct row row = {.seconds = spread_of(c->seconds, r->plan->n_runs)};
    double tokens = bench_plan_tokens(c), time = row.seconds.median;
    double bytes =
        c->cost.weight_bytes + c->cost.state_bytes + c->cost.kv_bytes; /* of a run */
    double f32 = peak_of(r, ENGINE_PEAK_F32), int8 = peak_of(r, ENGINE_PEAK_INT8);
    double least = (c->cost.f32_ops ? c->cost.f32_ops / f32 : 0) +
                   (c->cost.int8_ops ? c->cost.int8_ops / int8 : 0);
    row.tokens_s = tokens / time;
    row.bytes = bytes / tokens;
    row.int8_ops = c->cost.int8_ops / tokens;
    row.f32_ops = c->cost.f32_ops / tokens;
    row.of_memory = bytes / time / peak_of(r, ENGINE_PEAK_READ);
    row.of_compute = least / time;
    row.ratio = peer_ratio(c, r->plan->n_runs);
    return row;
}

static const char *kind_name(const struct bench_case *c)
{
    return c->kind == CASE_PREFILL ? "prefill" : "decode";
}

/* The format as the case's engine names it: "own" says nothing. */
static const char *format_name(const struct bench_report *r, const struct bench_case *c)
{
    enum engine_weights f = r->plan->formats[c->format];
    return f == ENGINE_WEIGHTS_OWN ? c->held : bench_plan_format(f);
}

/* Why the peer does not run the shape in a format, or NULL. */
static const char *refusal_of(const struct bench_report *r, int format)
{
    const char *text = r->peer_refusals[format];
    return text && *text ? text : NULL;
}

/* ---- the table -------------------------------------------------------------- */

static double mib(double bytes)
{
    return bytes / 0x1p20;
}

/* Two lines over the columns: names, then units. */
static const char heads[] =
    "case          form  seqs  depth   tokens/s  spread   MB/tok  state    K/V   Mop/tok  "
    "memory compute resident\n"
    "                                                 %           of it  of it            "
    "   of limit, %      MiB\n";

static void put_fraction(struct buf *out, double x)
{
    if (isnan(x))
        buf_printf(out, " %7s", "-");
    else
        buf_printf(out, " %7.1f", 100 * x);
}

static void put_limits(const struct bench_report *r, struct buf *out)
{
    static const struct {
        const char *name, *unit;
        enum engine_peak what;
        int digits;
    } all[] = {{"memory", "GB/s", ENGINE_PEAK_READ, 1},
               {"f32", "GFLOP/s", ENGINE_PEAK_F32, 0},
               {"int8", "GOP/s", ENGINE_PEAK_INT8, 0}};
    buf_puts(out, "limits:");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double x = peak_of(r, all[i].what) * 1e-9;
        buf_printf(out, "%s %s ", i ? "," : "", all[i].name);
        if (isnan(x))
            buf_puts(out, "not measured");
        else
            buf_printf(out, "%.*f %s", all[i].digits, x, all[i].unit);
    }
    buf_putc(out, '\n');
}

static void table_row(const struct bench_report *r, const struct bench_case *c,
                      struct buf *out)
{
    char name[32];
    snprintf(name, sizeof name, c->kind == CASE_PREFILL ? "%s %d" : "%s", kind_name(c),
             c->n_tokens);
    buf_printf(out, "%-13s %-5s %4d %6d ", name, format_name(r, c), c->n_seqs, c->depth);
    if (!c->fits) {
        buf_printf(out, "does not fit in memory: needs %.0f MiB\n",
                   mib((double)c->memory_bytes));
        return;
    }
    struct row row = row_of(r, c);
    double bytes = row.bytes * bench_plan_tokens(c);
    buf_printf(out, "%10.1f %7.1f %8.2f %5.1f%% %5.1f%% %9.1f", row.tokens_s,
               100 * (row.seconds.max - row.seconds.min) / row.seconds.median,
               row.bytes * 1e-6, 100 * c->cost.state_bytes / bytes,
               100 * c->cost.kv_bytes / bytes, (row.int8_ops + row.f32_ops) * 1e-6);
    put_fraction(out, row.of_memory);
    put_fraction(out, row.of_compute);
    buf_printf(out, " %8.0f", mib((double)c->resident_bytes));
    if (row.ratio.median > 0)
        buf_printf(out, "  %.2f (%.2f to %.2f) x the peer", row.ratio.median,
                   row.ratio.min, row.ratio.max);
    buf_putc(out, '\n');
}

void bench_report_table(const struct bench_report *r, struct buf *out)
{
    const struct engine_info *in = r->info;
    const struct bench_case *c = r->plan->cases;
    buf_printf(out, "%s: %s, %.2f million parameters, kv %s, %s, %d thread%s\n", r->shape,
               in->arch, (double)in->n_params * 1e-6, in->kv, in->cpu, in->n_threads,
               in->n_threads == 1 ? "" : "s");
    put_limits(r, out);
    buf_printf(out, "a sequence: state %.1f KiB, keys and values %.1f KiB a token\n",
               (double)c->state_bytes / 1024, c->kv_bytes / 1024);
    buf_puts(out, heads);
    for (int i = 0; i < r->plan->n_cases; i++)
        table_row(r, &r->plan->cases[i], out);
    for (int f = 0; f < r->plan->n_formats; f++)
        if (refusal_of(r, f))
            buf_printf(out, "the peer does not run this shape%s%s: %s\n",
                       r->plan->n_formats > 1 ? " in " : "",
                       r->plan->n_formats > 1 ? bench_plan_format(r->plan->formats[f])
                                              : "",
                       refusal_of(r, f));
    buf_printf(
        out,
        "medians of %d runs, %s; load %.2f before, %.2f after, steal %.1f %%; peak "
        "resident %.0f MiB\n",
        r->plan->n_runs, r->order, r->before.load, r->after.load,
        100 * host_stats_steal(&r->before, &r->after), mib((double)peak_bytes(r->plan)));
}

/* ---- JSON ------------------------------------------------------------------- */

struct member {
    const char *name;
    double value;
};

static void put_members(struct buf *out, const struct member *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s\"%s\":", i ? "," : "", m[i].name);
        buf_json_number(out, m[i].value);
    }
}

static void put_text(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "\"%s\":", name);
    buf_json_string(out, value, strlen(value));
    buf_putc(out, ',');
}

static void put_runs(struct buf *out, const char *name, const struct bench_case *c,
                     const double *seconds, int n)
{
    buf_printf(out, ",\"%s\":[", name);
    for (int i = 0; i < n; i++) {
        if (i)
            buf_putc(out, ',');
        buf_json_number(out, bench_plan_tokens(c) / seconds[i]);
    }
    buf_putc(out, ']');
}

static void json_measured(const struct bench_report *r, const struct bench_case *c,
                          struct buf *out)
{
    const struct row row = row_of(r, c);
    double tokens = bench_plan_tokens(c);
    const struct member members[] = {
        {"tokens_s", row.tokens_s},
        {"bytes_per_token", row.bytes},
        {"ops_per_token", row.int8_ops + row.f32_ops},
        {"of_memory_limit", row.of_memory},
        {"of_compute_limit", row.of_compute},
        {"tokens_s_min", tokens / row.seconds.max},
        {"tokens_s_max", tokens / row.seconds.min},
        {"weight_bytes_per_token", c->cost.weight_bytes / tokens},
        {"state_bytes_per_token", c->cost.state_bytes / tokens},
        {"kv_bytes_per_token", c->cost.kv_bytes / tokens},
        {"int8_ops_per_token", row.int8_ops},
        {"resident_bytes", (double)c->resident_bytes},
        {"emitted", c->n_emitted},
    };
    buf_putc(out, ',');
    put_members(out, members, sizeof members / sizeof *members);
    put_runs(out, "runs", c, c->seconds, r->plan->n_runs);
    if (row.ratio.median > 0) {
        put_runs(out, "peer_runs", c, c->peer_seconds, r->plan->n_runs);
        buf_puts(out, ",\"peer_ratio\":");
        buf_json_number(out, row.ratio.median);
    }
}

static void json_row(const struct bench_report *r, const struct bench_case *c,
                     struct buf *out)
{
    const struct member members[] = {
        {"sequences", c->n_seqs},  {"depth", c->depth},
        {"tokens", c->n_tokens},   {"state_bytes", (double)c->state_bytes},
        {"kv_bytes", c->kv_bytes}, {"memory_bytes", (double)c->memory_bytes},
    };
    buf_putc(out, '{');
    put_text(out, "shape", r->shape);
    put_text(out, "case", kind_name(c));
    put_text(out, "format", format_name(r, c));
    put_text(out, "kv", r->info->kv);
    put_members(out, members, sizeof members / sizeof *members);
    buf_printf(out, ",\"fits\":%s", c->fits ? "true" : "false");
    if (refusal_of(r, c->format)) {
        buf_puts(out, ",\"peer_refusal\":");
        buf_json_string(out, refusal_of(r, c->format), strlen(refusal_of(r, c->format)));
    }
    if (c->fits)
        json_measured(r, c, out);
    else
        buf_puts(out,
                 ",\"tokens_s\":null,\"bytes_per_token\":null,\"ops_per_token\":null,"
                 "\"of_memory_limit\":null,\"of_compute_limit\":null");
    buf_putc(out, '}');
}

void bench_report_json(const struct bench_report *r, struct buf *out)
{
    const struct member limits[] = {
        {"memory_gb_s", peak_of(r, ENGINE_PEAK_READ) * 1e-9},
        {"f32_gflop_s", peak_of(r, ENGINE_PEAK_F32) * 1e-9},
        {"int8_gop_s", peak_of(r, ENGINE_PEAK_INT8) * 1e-9},
    };
    const struct member machine[] = {
        {"threads", r->info->n_threads},
        {"parameters", (double)r->info->n_params},
        {"runs", r->plan->n_runs},
        {"load_before", r->before.load},
        {"load_after", r->after.load},
        {"steal", host_stats_steal(&r->before, &r->after)},
        {"peak_resident_bytes", (double)peak_bytes(r->plan)},
    };
    buf_puts(out, "{\"limits\":{");
    put_members(out, limits, sizeof limits / sizeof *limits);
    buf_puts(out, "},\"machine\":{");
    put_text(out, "cpu", r->info->cpu);
    put_text(out, "order", r->order);
    put_members(out, machine, sizeof machine / sizeof *machine);
    buf_puts(out, "},\"results\":[");
    for (int i = 0; i < r->plan->n_cases; i++) {
        if (i)
            buf_putc(out, ',');
        json_row(r, &r->plan->cases[i], out);
    }
    buf_puts(out, "]}\n");
}

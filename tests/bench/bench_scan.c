/*
 * How fast the recurrences are on this machine: decode of many sequences, whose states
 * are read and written once, beside the speed at which memory can be read and written in
 * place; and prefill, whose states stay in the cache, beside the FMA limit. Tasks are
 * divided as the mixers divide them. Not a test: nothing is asserted.
 * Usage: bench_scan [threads [level]].
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/kernel/cpu.h"
#include "engine/kernel/peak.h"
#include "engine/kernel/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, LAYERS = 11, HEADS = 12, HEAD = 64, STATE = 64, MOST_SEQS = 64 };
enum { TILE = HEAD * STATE, SLOT = LAYERS * HEADS * TILE, PREFILL = 256 };
enum { WIDE_HEADS = HEADS / 4, WIDE_HEAD = 2 * HEAD };

/* One thread's figures are of its processor time: neighbours disturb them less. */
static clockid_t clock_used = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(clock_used, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct bench {
    struct pool *pool;
    const struct kernels *k;
    float *states;  /* [MOST_SEQS][SLOT] */
    float *x, *y;   /* rows */
    float *small;   /* x / 64 */
    int seqs, rows; /* rows of each */
    int layer;
    struct peak peak; /* not open: nothing is read */
    double peak_done; /* operations of its last piece */
};

typedef void run_fn(struct bench *b);

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of a call. */
static double timed(run_fn *run, struct bench *b)
{
    double t[ROUNDS];
    run(b);
    for (int i = 0; i < ROUNDS; i++) {
        double from = now();
        int n = 0;
        do {
            run(b);
            n++;
        } while (now() - from < 0.03);
        t[i] = (now() - from) / n;
    }
    qsort(t, ROUNDS, sizeof *t, by_size);
    return t[ROUNDS / 2];
}

static float *state_of(const struct bench *b, int seq, int head)
{
    return b->states + (size_t)seq * SLOT + (size_t)(b->layer * HEADS + head) * TILE;
}

static void ssd(const struct bench *b, int task)
{
    size_t wide = HEADS * HEAD, row = (size_t)(task / HEADS * b->rows);
    size_t at = row * wide + (size_t)(task % HEADS * HEAD);
    struct ssd_args a = {.state = state_of(b, task / HEADS, task % HEADS),
                         .x = b->x + at,
                         .b = b->x + at,
                         .c = b->x + at,
                         .a = b->x + row,
                         .dt = b->x + row,
                         .y = b->y + at,
                         .ld_x = wide,
                         .ld_bc = wide,
                         .ld_t = 1,
                         .ld_y = wide,
                         .n_rows = b->rows,
                         .n_head = HEAD,
                         .n_state = STATE};
    b->k->ssd(&a);
}

/* Units of a sequence in one task: many rows of one, or a row of all. */
static int together(const struct bench *b, int units)
{
    int parts = (2 * pool_threads(b->pool) + b->seqs - 1) / b->seqs;
    return b->rows > 1 || parts > units ? 1 : units / parts;
}

static void ssd_task(void *arg, int task, int thread)
{
    (void)thread;
    const struct bench *b = arg;
    int n = together(b, HEADS);
    for (int i = 0; i < n; i++)
        ssd(b, task * n + i);
}

static void run_ssd(struct bench *b)
{
    for (b->layer = 0; b->layer < LAYERS; b->layer++)
        pool_run(b->pool, ssd_task, b, b->seqs * HEADS / together(b, HEADS));
}

/* 16 channels of 128 states: half of a tile. */
static void dss(const struct bench *b, int task)
{
    size_t wide = 2 * HEADS * LANES;
    size_t at = (size_t)(task / (2 * HEADS) * b->rows) * wide +
                (size_t)(task % (2 * HEADS) * LANES);
    struct dss_args a = {.state = state_of(b, task / (2 * HEADS), 0) +
                                  (size_t)(task % (2 * HEADS)) * (TILE / 2),
                         .coef = b->x,
                         .e = b->x,
                         .d = b->x,
                         .s = b->x + at,
                         .y = b->y + at,
                         .ld_s = wide,
                         .ld_y = wide,
                         .n_rows = b->rows,
                         .n_state = TILE / 2 / (2 * LANES),
                         .n_channels = LANES};
    b->k->dss(&a);
}

static void dss_task(void *arg, int task, int thread)
{
    (void)thread;
    const struct bench *b = arg;
    int n = together(b, 2 * HEADS);
    for (int i = 0; i < n; i++)
        dss(b, task * n + i);
}

static void run_dss(struct bench *b)
{
    for (b->layer = 0; b->layer < LAYERS; b->layer++)
        pool_run(b->pool, dss_task, b, b->seqs * 2 * HEADS / together(b, 2 * HEADS));
}

/* A head of 128 x 128: four tiles. k is so small that no state grows. */
static void gdn(const struct bench *b, int task)
{
    size_t wide = HEADS * HEAD, row = (size_t)(task / WIDE_HEADS * b->rows);
    size_t at = row * wide + (size_t)(task % WIDE_HEADS * WIDE_HEAD);
    struct gdn_args a = {.state = state_of(b, task / WIDE_HEADS, task % WIDE_HEADS * 4),
                         .q = b->x + at,
                         .k = b->small + at,
                         .v = b->x + at,
                         .decay = b->x + row,
                         .beta = b->x + row,
                         .y = b->y + at,
                         .ld_qk = wide,
                         .ld_v = wide,
                         .ld_t = 1,
                         .ld_y = wide,
                         .n_rows = b->rows,
                         .n_key = WIDE_HEAD,
                         .n_value = WIDE_HEAD};
    b->k->gdn(&a);
}

static void gdn_task(void *arg, int task, int thread)
{
    (void)thread;
    const struct bench *b = arg;
    int n = together(b, WIDE_HEADS);
    for (int i = 0; i < n; i++)
        gdn(b, task * n + i);
}

static void run_gdn(struct bench *b)
{
    for (b->layer = 0; b->layer < LAYERS; b->layer++)
        pool_run(b->pool, gdn_task, b, b->seqs * WIDE_HEADS / together(b, WIDE_HEADS));
}

static void gss(void *arg, int task, int thread)
{
    (void)thread;
    const struct bench *b = arg;
    size_t at = (size_t)(task * b->rows) * 768;
    struct gss_args a = {.h = state_of(b, task, 0),
                         .a = b->x,
                         .g = b->x + at,
                         .b = b->x + at,
                         .y = b->y + at,
                         .ld_g = 768,
                         .ld_b = 768,
                         .ld_y = 768,
                         .n_rows = b->rows,
                         .n = 768};
    b->k->gss(&a);
}

static void run_gss(struct bench *b)
{
    for (b->layer = 0; b->layer < LAYERS; b->layer++)
        pool_run(b->pool, gss, b, b->seqs);
}

/* ---- the machine's limits --------------------------------------------------- */

static void scale_part(void *arg, int task, int thread)
{
    (void)thread;
    const struct bench *b = arg;
    float *x = b->states + (size_t)task * SLOT;
    b->k->scale(x, 1.0f, SLOT, x);
}

static void run_scale(struct bench *b)
{
    pool_run(b->pool, scale_part, b, MOST_SEQS);
}

static void run_fma(struct bench *b)
{
    b->peak_done = peak_run(&b->peak, b->pool, ENGINE_PEAK_F32);
}

/* ---- the table -------------------------------------------------------------- */

static void print_case(struct bench *b, const char *name, run_fn *run, double bytes,
                       double ops)
{
    double limit = 2.0 * MOST_SEQS * SLOT * sizeof(float) / timed(run_scale, b);
    double seconds = timed(run_fma, b), fma = b->peak_done / seconds;
    double t = timed(run, b);
    printf("%4s %5d %5d %10.1f %8.2f %10.1f %8.2f\n", name, b->seqs, b->rows,
           bytes / t * 1e-9, bytes / t / limit, ops / t * 1e-9, ops / t / fma);
}

static void bench_all(struct bench *b)
{
    static const int seqs[] = {1, 16, 64, 1};
    printf("%4s %5s %5s %10s %8s %10s %8s\n", "", "seqs", "rows", "GB/s", "of limit",
           "GFLOP/s", "of FMA");
    for (int i = 0; i < 4; i++) {
        b->seqs = seqs[i];
        b->rows = i == 3 ? PREFILL : 1;
        double n = (double)b->seqs * LAYERS * HEADS * TILE;
        double bytes = n * 2 * sizeof(float);
        print_case(b, "ssd", run_ssd, bytes, n * b->rows * 5);
        print_case(b, "dss", run_dss, bytes, n * b->rows * 5);
        print_case(b, "gdn", run_gdn, bytes, n * b->rows * 7);
        n = (double)b->seqs * LAYERS * 768;
        print_case(b, "gss", run_gss, n * 2 * sizeof(float), n * b->rows * 3);
    }
}

int main(int argc, char **argv)
{
    int n_threads = argc > 1 ? atoi(argv[1]) : cpu_count();
    struct bench b = {0};
    clock_used = n_threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    if (cpu_kernels(&b.k, argc > 2 ? argv[2] : NULL, NULL) ||
        pool_open(&b.pool, n_threads, NULL))
        return 1;
    size_t rows = (size_t)PREFILL * HEADS * HEAD;
    b.states = mem_zalloc((size_t)MOST_SEQS * SLOT, sizeof *b.states);
    b.x = mem_alloc(rows * sizeof *b.x);
    b.y = mem_alloc(rows * sizeof *b.y);
    b.small = mem_alloc(rows * sizeof *b.small);
    uint32_t s = 12345;
    for (size_t i = 0; i < rows; i++) {
        s = s * 1664525u + 1013904223u;
        b.x[i] = (float)(s >> 8) * 0x1p-25f;
        b.small[i] = b.x[i] / 64;
    }
    printf("%d threads, %s\n", n_threads, b.k->name);
    bench_all(&b);
    mem_free(b.states);
    mem_free(b.x);
    mem_free(b.y);
    mem_free(b.small);
    pool_close(b.pool);
    return 0;
}

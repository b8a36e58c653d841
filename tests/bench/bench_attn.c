/*
 * How fast attention is on this machine, by page type, as a mixer divides it: decode at
 * depths beside the memory's read speed, prefill beside the FMA limit, storing. Pages are
 * laid out as in a model of 12 layers, scattered. Not a test: nothing is asserted.
 * Usage: bench_attn [threads [level [decode | prefill]]].
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

enum { ROUNDS = 7, LAYERS = 12, HEAD = 64, KV_HEADS = 4, GROUP = 3, MOST_ROWS = 2048 };

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
    enum engine_kv type;
    char *pages;
    size_t page_bytes, half;
    int32_t *table;
    float *q, *out;
    int depth, rows, layers, heads, group, layer;
    struct peak peak;
    double peak_done; /* bytes or operations of its last piece */
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef void run_fn(struct bench *b);

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

static void attend(void *arg, int task, int thread)
{
    (void)thread;
    const struct bench *b = arg;
    int head = task % b->heads, pieces = (b->rows + PAGE_TOKENS - 1) / PAGE_TOKENS;
    int piece = pieces - 1 - task / b->heads, row0 = piece * PAGE_TOKENS;
    size_t ld = (size_t)(b->heads * b->group * HEAD);
    size_t at = (size_t)row0 * ld + (size_t)(head * b->group * HEAD);
    size_t offset = (size_t)(b->layer * b->heads + head) * 2 * b->half;
    struct attn_args a = {
        .pages = b->pages,
        .table = b->table,
        .page_bytes = b->page_bytes,
        .k_offset = offset,
        .v_offset = offset + b->half,
        .q = b->q + at,
        .out = b->out + at,
        .ld = ld,
        .scale = 0.125f,
        .n_keys = b->depth + row0 + 1,
        .n_rows = b->rows - row0 < PAGE_TOKENS ? b->rows - row0 : PAGE_TOKENS,
        .group = b->group,
        .head_dim = HEAD,
    };
    b->k->attn[b->type](&a);
}

static void run_attn(struct bench *b)
{
    int pieces = (b->rows + PAGE_TOKENS - 1) / PAGE_TOKENS;
    for (b->layer = 0; b->layer < b->layers; b->layer++)
        pool_run(b->pool, attend, b, b->heads * pieces);
}

static void store(void *arg, int task, int thread)
{
    (void)thread;
    const struct bench *b = arg;
    size_t ld = (size_t)(b->heads * HEAD);
    for (int head = 0; head < b->heads; head++) {
        size_t offset = (size_t)(b->layer * b->heads + head) * 2 * b->half;
        size_t at = (size_t)task * PAGE_TOKENS * ld + (size_t)(head * HEAD);
        struct kv_args a = {
            .pages = b->pages,
            .table = b->table,
            .page_bytes = b->page_bytes,
            .k_offset = offset,
            .v_offset = offset + b->half,
            .k = b->q + at,
            .v = b->q + at,
            .ld = ld,
            .pos = b->depth + task * PAGE_TOKENS,
            .n_rows = b->rows < PAGE_TOKENS ? b->rows : PAGE_TOKENS,
            .head_dim = HEAD,
        };
        b->k->kv_store[b->type](&a);
    }
}

static void run_store(struct bench *b)
{
    int pieces = (b->rows + PAGE_TOKENS - 1) / PAGE_TOKENS;
    for (b->layer = 0; b->layer < b->layers; b->layer++)
        pool_run(b->pool, store, b, pieces);
}

static void open_pages(struct bench *b, enum engine_kv type, int n_tokens)
{
    static const size_t each[ENGINE_KV_N] = {4, 2, 1};
    int n = (n_tokens + PAGE_TOKENS - 1) / PAGE_TOKENS;
    b->type = type;
    b->half = (size_t)HEAD * PAGE_TOKENS * each[type];
    b->half += type == ENGINE_KV_Q8 ? (size_t)HEAD : 0;
    b->page_bytes = (size_t)(b->layers * b->heads) * 2 * b->half;
    b->pages = mem_alloc((size_t)n * b->page_bytes);
    b->table = mem_alloc((size_t)n * sizeof *b->table);
    for (int i = 0; i < n; i++)
        b->table[i] = i;
    uint32_t s = 1;
    for (int i = n - 1; i > 0; i--) {
        s = s * 1664525u + 1013904223u;
        int j = (int)((s >> 8) % (uint32_t)(i + 1));
        int32_t t = b->table[i];
        b->table[i] = b->table[j];
        b->table[j] = t;
    }
    int rows = b->rows, depth = b->depth;
    b->depth = 0;
    b->rows = PAGE_TOKENS;
    for (; b->depth < n_tokens; b->depth += PAGE_TOKENS)
        run_store(b);
    b->depth = depth;
    b->rows = rows;
}

static void close_pages(struct bench *b)
{
    mem_free(b->pages);
    mem_free(b->table);
}

/* ---- the machine's limits --------------------------------------------------- */

static void run_read(struct bench *b)
{
    b->peak_done = peak_run(&b->peak, b->pool, ENGINE_PEAK_READ);
}

static void run_fma(struct bench *b)
{
    b->peak_done = peak_run(&b->peak, b->pool, ENGINE_PEAK_F32);
}

/* ---- the table -------------------------------------------------------------- */

static const char *const type_names[ENGINE_KV_N] = {"f32", "f16", "q8"};

static void bench_decode(struct bench *b, double limit, double fma)
{
    static const int depths[] = {1023, 4095, 16383};
    printf("decode, 1 sequence\n%5s %6s %10s %8s %10s %8s\n", "kv", "depth", "GB/s",
           "of limit", "GFLOP/s", "of FMA");
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (int i = 0; i < 3; i++) {
            b->depth = depths[i];
            b->rows = 1;
            open_pages(b, type, b->depth + 1);
            double t = timed(run_attn, b), keys = b->depth + 1;
            double each = type == ENGINE_KV_F32   ? 4
                          : type == ENGINE_KV_F16 ? 2
                                                  : 34.0 / 32;
            double bytes = keys * b->layers * b->heads * 2 * HEAD * each;
            double flops = keys * b->layers * b->heads * b->group * HEAD * 4;
            printf("%5s %6d %10.1f %8.2f %10.1f %8.2f\n", type_names[type], b->depth + 1,
                   bytes / t * 1e-9, bytes / t / limit, flops / t * 1e-9,
                   flops / t / fma);
            close_pages(b);
        }
}

static void bench_prefill(struct bench *b, double fma)
{
    static const int cases[][2] = {{0, 256}, {0, 512}, {0, 2048}, {3840, 256}};
    printf("prefill\n%5s %6s %6s %10s %8s %14s\n", "kv", "depth", "rows", "GFLOP/s",
           "of FMA", "store us/row");
    for (enum engine_kv type = 0; type < ENGINE_KV_N; type++)
        for (int i = 0; i < 4; i++) {
            b->depth = cases[i][0];
            b->rows = cases[i][1];
            open_pages(b, type, b->depth + b->rows);
            double t = timed(run_attn, b), s = timed(run_store, b);
            double keys = b->rows * (b->depth + (b->rows + 1) / 2.0);
            double flops = keys * b->layers * b->heads * b->group * HEAD * 4;
            printf("%5s %6d %6d %10.1f %8.2f %14.2f\n", type_names[type], b->depth,
                   b->rows, flops / t * 1e-9, flops / t / fma, s / b->rows * 1e6);
            close_pages(b);
        }
}

static void bench_threads(int n_threads, const char *level, const char *only)
{
    struct bench b = {.layers = LAYERS, .heads = KV_HEADS, .group = GROUP};
    clock_used = n_threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    if (cpu_kernels(&b.k, level, NULL) || pool_open(&b.pool, n_threads, NULL))
        return;
    size_t n = (size_t)MOST_ROWS * KV_HEADS * GROUP * HEAD;
    b.q = mem_alloc(n * sizeof *b.q);
    b.out = mem_alloc(n * sizeof *b.out);
    uint32_t s = 12345;
    for (size_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        b.q[i] = (float)(s >> 8) / 8388608.0f - 1.0f;
    }
    if (peak_open(&b.peak, NULL))
        return;
    double seconds = timed(run_read, &b), limit = b.peak_done / seconds;
    peak_close(&b.peak);
    seconds = timed(run_fma, &b);
    double fma = b.peak_done / seconds;
    printf("%d threads, %s: reading %.1f GB/s, FMA %.1f GFLOP/s\n", n_threads, b.k->name,
           limit * 1e-9, fma * 1e-9);
    if (!only || strcmp(only, "decode") == 0)
        bench_decode(&b, limit, fma);
    if (!only || strcmp(only, "prefill") == 0)
        bench_prefill(&b, fma);
    mem_free(b.q);
    mem_free(b.out);
    pool_close(b.pool);
}

int main(int argc, char **argv)
{
    bench_threads(argc > 1 ? atoi(argv[1]) : cpu_count(), argc > 2 ? argv[2] : NULL,
                  argc > 3 ? argv[3] : NULL);
    return 0;
}

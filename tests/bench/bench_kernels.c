/*
 * Linear layers of a 125M model beside this machine's limits, which are measured between
 * the runs: weights out of cache, every type, one row to 512; and OpenBLAS beside f32.
 * Not a test: nothing is asserted. Usage: bench_kernels [threads [level]].
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/kernel/blas.h"
#include "engine/kernel/cpu.h"
#include "engine/kernel/gemm.h"
#include "engine/kernel/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 7, MAX_ROWS = 512, MAX_IN = 2048, MAX_OUT = 32000, BIG = 256 << 20 };

static const double ROUND_S = 0.02;

struct shape {
    int n_in, n_out;
};

struct bench {
    struct gemm g;
    struct gemm_scratch scratch;
    struct peak peak;
    int n_threads;
    char *weights; /* BIG bytes, read as any type */
    float *x, *y;
};

/* A product; every call takes the next matrix, so that weights come from memory. */
struct product {
    const struct bench *b;
    enum dtype type;
    struct shape shape;
    int rows, n_matrices, at;
};

typedef void run_fn(struct product *p);

static struct matrix matrix_of(const struct product *p)
{
    return (struct matrix){
        .type = p->type, .n_out = p->shape.n_out, .n_in = p->shape.n_in};
}

static size_t matrix_bytes(const struct product *p)
{
    const struct matrix m = matrix_of(p);
    return matrix_panel_bytes(&m) + matrix_scale_bytes(&m);
}

static const char *next_weights(struct product *p)
{
    return p->b->weights + (size_t)(p->at++ % p->n_matrices) * matrix_bytes(p);
}

static void run_ours(struct product *p)
{
    const char *at = next_weights(p);
    struct matrix m = matrix_of(p);
    m.panels = at;
    m.scales = (const uint16_t *)(const void *)(at + matrix_panel_bytes(&m));
    gemm_run(&p->b->g, &m, p->b->x, (size_t)m.n_in, p->rows, p->b->y, (size_t)m.n_out);
}

static void run_blas(struct product *p)
{
    const struct shape s = p->shape;
    const struct linear_args a = {.x = p->b->x,
                                  .y = p->b->y,
                                  .ldx = (size_t)s.n_in,
                                  .ldy = (size_t)s.n_out,
                                  .n_in = s.n_in,
                                  .n_out = s.n_out,
                                  .n_rows = p->rows};
    blas_linear((const float *)(const void *)next_weights(p), &a);
}

/* ---- time ------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double timed(run_fn *run, struct product *p, int calls)
{
    double t = now();
    for (int i = 0; i < calls; i++)
        run(p);
    return (now() - t) / calls;
}

static double peak_rate(const struct bench *b, enum engine_peak kind)
{
    double t = now(), work = peak_run(&b->peak, b->g.pool, kind);
    return work / (now() - t);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *t)
{
    qsort(t, ROUNDS, sizeof *t, by_size);
    return t[ROUNDS / 2];
}

struct figures {
    double ours, blas;      /* seconds */
    double memory, compute; /* bytes and operations a second */
};

/* Ours, OpenBLAS, memory and arithmetic in turn. */
static struct figures measure(struct product *p)
{
    double ours[ROUNDS], blas[ROUNDS], memory[ROUNDS], compute[ROUNDS];
    enum engine_peak kind = p->type < DTYPE_FLOATS ? ENGINE_PEAK_F32 : ENGINE_PEAK_INT8;
    double one = timed(run_ours, p, 2);
    int calls = one < ROUND_S ? (int)(ROUND_S / one) : 1;
    for (int r = 0; r < ROUNDS; r++) {
        ours[r] = timed(run_ours, p, calls);
        blas[r] = p->type == DTYPE_F32 ? timed(run_blas, p, calls) : 0;
        memory[r] = peak_rate(p->b, ENGINE_PEAK_READ);
        compute[r] = peak_rate(p->b, kind);
    }
    return (struct figures){median(ours), median(blas), median(memory), median(compute)};
}

static void print(const struct product *p, const struct figures *f)
{
    static const char *const names[DTYPE_N] = {"f32", "f16", "bf16", "q8", "q4"};
    double bytes = (double)matrix_bytes(p);
    double ops = 2.0 * p->shape.n_in * p->shape.n_out * p->rows;
    printf("%-5s %5d %6d %4d %9.1f %7.1f %8.1f %8.1f", names[p->type], p->shape.n_in,
           p->shape.n_out, p->rows, f->ours * 1e6, bytes / f->ours * 1e-9,
           bytes / f->ours / f->memory * 100, ops / f->ours * 1e-9);
    printf(" %8.1f", ops / f->ours / f->compute * 100);
    if (f->blas > 0)
        printf(" %8.2f", f->blas / f->ours);
    printf("\n");
}

static void bench_type(const struct bench *b, enum dtype type)
{
    static const struct shape shapes[] = {
        {768, 768}, {768, 2048}, {2048, 768}, {768, 32000}};
    static const int rows[] = {1, 4, 16, 64, 512};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            struct product p = {b, type, shapes[s], rows[r], 1, 0};
            if (p.shape.n_out == MAX_OUT && p.rows > 16)
                continue;
            p.n_matrices = (int)(BIG / matrix_bytes(&p));
            struct figures f = measure(&p);
            print(&p, &f);
        }
}

/* Floats of a moderate size by any type's reading. */
static void fill(struct bench *b)
{
    for (size_t i = 0; i < BIG; i++)
        b->weights[i] = (char)(i % 4 == 3 || i % 2 ? 0x3c : i * 7);
    for (size_t i = 0; i < (size_t)MAX_ROWS * MAX_IN; i++)
        b->x[i] = (float)(i % 251) / 125.0f - 1.0f;
}

static int open_bench(struct bench *b, const char *level, struct err *err)
{
    struct pool *pool;
    int rc = cpu_kernels(&b->g.k, level, err);
    if (rc == 0)
        rc = pool_open(&pool, b->n_threads, err);
    if (rc)
        return rc;
    b->g.pool = pool;
    b->g.scratch = &b->scratch;
    b->weights = mem_alloc(BIG);
    b->x = mem_alloc((size_t)MAX_ROWS * MAX_IN * sizeof *b->x);
    b->y = mem_alloc((size_t)MAX_ROWS * MAX_OUT * sizeof *b->y);
    if (!b->weights || !b->x || !b->y)
        return err_set(err, ERR_MEMORY, "out of memory");
    rc = gemm_scratch_open(&b->scratch, MAX_IN, MAX_ROWS, b->n_threads, err);
    return rc ? rc : peak_open(&b->peak, err);
}

int main(int argc, char **argv)
{
    struct bench b = {.n_threads = argc > 1 ? atoi(argv[1]) : cpu_count()};
    struct err err = {0};
    if (open_bench(&b, argc > 2 ? argv[2] : NULL, &err) || blas_open(b.n_threads, &err)) {
        fprintf(stderr, "bench_kernels: %s\n", err.text);
        return 1;
    }
    fill(&b);
    printf("%s, %d threads; medians of %d alternating rounds\n", b.g.k->name, b.n_threads,
           ROUNDS);
    printf("%-5s %5s %6s %4s %9s %7s %8s %8s %8s %8s\n", "type", "in", "out", "rows",
           "us", "GB/s", "% of read", "Gop/s", "% of", "x BLAS");
    for (enum dtype type = 0; type < DTYPE_N; type++)
        bench_type(&b, type);
    return 0;
}

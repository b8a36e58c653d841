/*
 * How fast linear layers are on all threads of this machine: beside OpenBLAS, in
 * alternating runs, and with weights streamed from memory beside the machine's own read
 * speed. Kernels of one thread: make bench-kernels. Not a test: nothing is asserted.
 * Usage: bench_kernels [threads].
 */
#include "engine/base/mem.h"
#include "engine/kernel/cpu.h"
#include "engine/kernel/gemm.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 9, MAX_ROWS = 512, SIDE = 1024, BIG = 256 << 20 };

static const char *const levels[] = {"avx512", "avx2"};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef void run_fn(void *arg);

/* Seconds for one call, over about 20 ms. */
static double timed(run_fn *run, void *arg, int calls)
{
    double t = now();
    for (int i = 0; i < calls; i++)
        run(arg);
    return (now() - t) / calls;
}

static int calls_for(run_fn *run, void *arg)
{
    double one = timed(run, arg, 2);
    int n = (int)(0.02 / one);
    return n < 1 ? 1 : n;
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

/* Alternates the runs A B A B and leaves the median seconds of each in t[]. */
static void alternate(run_fn **run, void **arg, int n, double *t)
{
    double all[4][ROUNDS];
    int calls[4];
    for (int i = 0; i < n; i++)
        calls[i] = calls_for(run[i], arg[i]);
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < n; i++)
            all[i][r] = timed(run[i], arg[i], calls[i]);
    for (int i = 0; i < n; i++)
        t[i] = median(all[i]);
}

static float *random_floats(size_t n)
{
    float *x = mem_alloc(n * sizeof *x);
    uint32_t s = 12345;
    for (size_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        x[i] = (float)(s >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

/* ---- linear layers beside OpenBLAS ------------------------------------------ */

struct product {
    struct gemm g;
    struct matrix *m;
    int n_matrices, at, rows;
    const float *x, *w;
    float *y;
};

static void run_ours(void *arg)
{
    struct product *p = arg;
    const struct matrix *m = &p->m[p->at++ % p->n_matrices];
    gemm_run(&p->g, m, p->x, (size_t)m->n_in, p->rows, p->y, (size_t)m->n_out);
}

static void run_blas(void *arg)
{
    struct product *p = arg;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p->rows, SIDE, SIDE, 1.0f, p->x,
                SIDE, p->w, SIDE, 0.0f, p->y, SIDE);
}

static void bench_products(struct pool *pool, struct arena *a, const float *w,
                           const float *x, float *y)
{
    static const int rows[] = {1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256, 512};
    struct matrix m;
    gemm_pack(&m, a, DTYPE_F32, w, SIDE, SIDE, false, NULL);
    m.bias = NULL;
    printf("linear f32 %dx%d, GFLOP/s\n%6s %10s %10s %10s %12s\n", SIDE, SIDE, "rows",
           levels[0], levels[1], "OpenBLAS", "avx512/blas");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct product p[3];
        run_fn *run[3] = {run_ours, run_ours, run_blas};
        void *arg[3] = {&p[0], &p[1], &p[2]};
        double t[3], flops = 2.0 * SIDE * SIDE * rows[i];
        for (int j = 0; j < 3; j++) {
            p[j] = (struct product){
                {&kernel_c, pool, false, NULL}, &m, 1, 0, rows[i], x, w, y};
            if (j < 2)
                cpu_kernels(&p[j].g.k, levels[j], NULL);
        }
        alternate(run, arg, 3, t);
        printf("%6d %10.1f %10.1f %10.1f %12.2f\n", rows[i], flops / t[0] * 1e-9,
               flops / t[1] * 1e-9, flops / t[2] * 1e-9, t[2] / t[0]);
    }
}

/* ---- weights out of cache --------------------------------------------------- */

struct reading {
    struct pool *pool;
    const struct kernels *k;
    const float *x;
};

static void read_part(void *arg, int task, int thread)
{
    (void)thread;
    const struct reading *r = arg;
    size_t part = BIG / sizeof(float) / 64;
    volatile float sink = r->k->max(r->x + (size_t)task * part, part);
    (void)sink;
}

static void run_reading(void *arg)
{
    struct reading *r = arg;
    pool_run(r->pool, read_part, r, 64);
}

static void bench_streams(struct pool *pool, const float *w, const float *x, float *y)
{
    static const char *const names[] = {"f32", "f16", "bf16"};
    static const int rows[] = {1, 2, 4, 8, 16};
    struct reading r = {pool, NULL, w};
    cpu_kernels(&r.k, NULL, NULL);
    printf("weights out of cache (%d MiB), GB/s of weights\n%6s %6s %10s %10s %10s\n",
           BIG >> 20, "type", "rows", levels[0], levels[1], "reading");
    for (enum dtype type = 0; type < DTYPE_FLOATS; type++) {
        struct matrix m[64];
        size_t bytes = gemm_panel_bytes(type, SIDE, SIDE);
        int n = (int)(BIG / bytes) < 64 ? (int)(BIG / bytes) : 64;
        for (int i = 0; i < n; i++)
            m[i] = (struct matrix){.type = type,
                                   .n_in = SIDE,
                                   .n_out = SIDE,
                                   .panels = (char *)(uintptr_t)w + (size_t)i * bytes};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct product p[2];
            run_fn *run[3] = {run_ours, run_ours, run_reading};
            void *arg[3] = {&p[0], &p[1], &r};
            double t[3];
            for (int j = 0; j < 2; j++) {
                p[j] = (struct product){
                    {NULL, pool, false, NULL}, m, n, 0, rows[i], x, NULL, y};
                cpu_kernels(&p[j].g.k, levels[j], NULL);
            }
            alternate(run, arg, 3, t);
            printf("%6s %6d %10.1f %10.1f %10.1f\n", names[type], rows[i],
                   (double)bytes / t[0] * 1e-9, (double)bytes / t[1] * 1e-9,
                   (double)BIG / t[2] * 1e-9);
        }
    }
}

static void run_nothing(void *arg, int task, int thread)
{
    (void)arg, (void)task, (void)thread;
}

static void run_pool(void *arg)
{
    pool_run(arg, run_nothing, NULL, 8);
}

int main(int argc, char **argv)
{
    int n_threads = argc > 1 ? atoi(argv[1]) : cpu_count();
    struct pool *pool;
    struct arena a;
    const struct kernels *best;
    if (cpu_kernels(&best, "avx512", NULL) != 0) {
        fprintf(stderr,
                "bench_kernels compares AVX-512 with AVX2: this processor lacks it\n");
        return 0;
    }
    if (pool_open(&pool, n_threads, NULL) != 0)
        return 1;
    arena_init(&a);
    gemm_blas_threads(n_threads);
    float *w = random_floats(BIG / sizeof *w), *x = random_floats(MAX_ROWS * SIDE);
    float *y = random_floats(MAX_ROWS * SIDE);
    printf("%d threads; an empty pool_run of 8 tasks takes %.2f us\n", n_threads,
           timed(run_pool, pool, 20000) * 1e6);
    bench_products(pool, &a, w, x, y);
    bench_streams(pool, w, x, y);
    mem_free(w);
    mem_free(x);
    mem_free(y);
    arena_free(&a);
    pool_close(pool);
    return 0;
}

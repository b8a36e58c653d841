/*
 * The engine without HTTP: prefill and decode rates of a model, one sequence against
 * many, in alternation (A B A B …), beside the f32 multiply-add limit measured in the
 * same run.
 *
 *     bench_engine MODEL_DIR [ROUNDS] [SEQUENCES] [TOKENS] [THREADS]
 *
 * Not a test: it asserts nothing. Medians and the ratio pair by pair are what to quote.
 */
#include "engine/engine.h"
#include "engine/kernel/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROMPT = 32, MAX_ROUNDS = 101 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the limit -------------------------------------------------------------- */

#if defined(__x86_64__)
/* Ten independent chains of fused multiply-adds in registers 0 to 9: enough to fill two
 * units of latency 5. The operands are zeros: only time is wanted. */
#define CHAINS(R)                                                                        \
    "vfmadd231ps %%" R "10, %%" R "10, %%" R "0\n\tvfmadd231ps %%" R "10, %%" R          \
    "10, %%" R "1\n\tvfmadd231ps %%" R "10, %%" R "10, %%" R "2\n\tvfmadd231ps %%" R     \
    "10, %%" R "10, %%" R "3\n\tvfmadd231ps %%" R "10, %%" R "10, %%" R                  \
    "4\n\tvfmadd231ps %%" R "10, %%" R "10, %%" R "5\n\tvfmadd231ps %%" R "10, %%" R     \
    "10, %%" R "6\n\tvfmadd231ps %%" R "10, %%" R "10, %%" R "7\n\tvfmadd231ps %%" R     \
    "10, %%" R "10, %%" R "8\n\tvfmadd231ps %%" R "10, %%" R "10, %%" R "9\n\t"
#define CLOBBER                                                                          \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9"

__attribute__((target("avx512f"), noinline)) static void spin_512(long n)
{
    __asm__ volatile("vzeroall" ::: CLOBBER, "xmm10");
    for (long i = 0; i < n; i++)
        __asm__ volatile(CHAINS("zmm")::: CLOBBER, "xmm10");
}

__attribute__((target("avx2,fma"), noinline)) static void spin_256(long n)
{
    __asm__ volatile("vzeroall" ::: CLOBBER, "xmm10");
    for (long i = 0; i < n; i++)
        __asm__ volatile(CHAINS("ymm")::: CLOBBER, "xmm10");
}

static void spin(void *arg, int task, int thread)
{
    (void)task;
    (void)thread;
    const long *n = arg;
    if (__builtin_cpu_supports("avx512f"))
        spin_512(*n);
    else
        spin_256(2 * *n);
}

/* GFLOP/s of f32 fused multiply-adds on all threads. */
static double fma_limit(struct pool *p)
{
    long n = 2000000;
    double t = now();
    pool_run(p, spin, &n, pool_threads(p));
    return 2.0 * 16 * 10 * (double)n * pool_threads(p) / (now() - t) * 1e-9;
}
#else
static double fma_limit(struct pool *p)
{
    (void)p;
    return 0;
}
#endif

/* ---- the engine ------------------------------------------------------------- */

static long n_finished;

static void count(void *arg, const struct event *ev)
{
    (void)arg;
    n_finished += ev->kind == EVENT_FINISH;
}

static void submit(struct engine *e, uint64_t id, int n_prompt, int n_tokens)
{
    static int32_t ids[1 << 14];
    struct err err = {0};
    int vocab = engine_info(e)->vocab_size;
    for (int i = 0; i < n_prompt; i++)
        ids[i] = (int32_t)((id * 7919 + (uint64_t)i * 104729) % (uint64_t)vocab);
    struct engine_request r = {.id = id, .ids = ids, .n_ids = (size_t)n_prompt};
    r.gen = (struct gen_params){.max_tokens = n_tokens,
                                .top_p = 1,
                                .typical_p = 1,
                                .n = 1,
                                .repetition_penalty = 1,
                                .logprobs = -1,
                                .ignore_eos = true};
    if (engine_submit(e, &r, &err)) {
        fprintf(stderr, "bench_engine: %s\n", err.text);
        exit(1);
    }
}

/* Tokens a second of n sequences decoding together, prompts not counted. */
static double decode(struct engine *e, int n, int n_tokens)
{
    static uint64_t id = 1;
    n_finished = 0;
    for (int i = 0; i < n; i++)
        submit(e, id++, PROMPT, n_tokens);
    for (int rows = 0; rows < n * PROMPT;)
        rows += engine_step(e, 1);
    double t = now();
    long steps = 0;
    while (n_finished < n)
        steps += engine_step(e, 1) > 0;
    return (double)steps * n / (now() - t);
}

static double prefill(struct engine *e, int n_prompt)
{
    static uint64_t id = 1u << 20;
    n_finished = 0;
    submit(e, id++, n_prompt, 0);
    double t = now();
    while (n_finished < 1)
        engine_step(e, 1);
    return n_prompt / (now() - t);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *x, int n)
{
    double sorted[MAX_ROUNDS];
    memcpy(sorted, x, (size_t)n * sizeof *x);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return sorted[n / 2];
}

static int number(int argc, char **argv, int i, int fallback)
{
    return argc > i ? atoi(argv[i]) : fallback;
}

int main(int argc, char **argv)
{
    int rounds = number(argc, argv, 2, 5), n = number(argc, argv, 3, 16);
    int n_tokens = number(argc, argv, 4, 200), threads = number(argc, argv, 5, 0);
    double one[MAX_ROUNDS], many[MAX_ROUNDS], ratio[MAX_ROUNDS], fill[MAX_ROUNDS];
    double limit[MAX_ROUNDS];
    struct err err = {0};
    struct engine *e = NULL;
    struct pool *p = NULL;
    struct engine_options o = {.model_dir = argc > 1 ? argv[1] : "models/default",
                               .no_tokenizer = true,
                               .n_threads = threads,
                               .emit = count};
    if (rounds < 1 || rounds > MAX_ROUNDS || engine_open(&e, &o, &err) ||
        pool_open(&p, engine_info(e)->n_threads, &err)) {
        fprintf(stderr, "bench_engine: %s\n", err.text);
        return 1;
    }
    const struct engine_info *info = engine_info(e);
    for (int i = 0; i < rounds; i++) {
        one[i] = decode(e, 1, n_tokens);
        many[i] = decode(e, n, n_tokens);
        ratio[i] = many[i] / one[i];
        fill[i] = prefill(e, 512);
        limit[i] = fma_limit(p);
        printf(
            "round %d: 1 sequence %.0f tok/s, %d sequences %.0f tok/s (x %.2f), prefill 512 "
            "%.0f tok/s, FMA limit %.0f GFLOP/s\n",
            i + 1, one[i], n, many[i], ratio[i], fill[i], limit[i]);
    }
    double flops = 2e-9 * (double)info->n_params, top = median(limit, rounds);
    printf("%s, %lld parameters, %s, %d threads\n", info->arch, (long long)info->n_params,
           info->cpu, info->n_threads);
    printf(
        "median: 1 sequence %.0f tok/s; %d sequences %.0f tok/s; ratio %.2f; %.0f %% of the "
        "FMA limit of %.0f GFLOP/s\n",
        median(one, rounds), n, median(many, rounds), median(ratio, rounds),
        100 * median(many, rounds) * flops / top, top);
    printf("median: prefill 512 %.0f tok/s, %.0f %% of the FMA limit\n",
           median(fill, rounds), 100 * median(fill, rounds) * flops / top);
    pool_close(p);
    engine_close(e);
    return 0;
}

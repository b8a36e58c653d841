/*
 * Attention as a mixer: the same rows give the same bytes, in results and in pages,
 * for any split of prompts into steps, any other rows in a step, any number of threads
 * and any kernel set, for every page type; and a page takes the bytes that it says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/cpu.h"
#include "engine/load/safetensors.h"
#include "engine/mixer/attn.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADS = 6,
    KV_HEADS = 2,
    HD = 40,
    D = 48,
    WIDE = HEADS * HD,
    NARROW = KV_HEADS * HD
};
enum { SEQS = 2, TOKENS = 200, PAGES = (TOKENS + PAGE_TOKENS - 1) / PAGE_TOKENS };

struct bench {
    struct maker maker;
    struct weights weights;
    struct arena arena, scratch;
    struct pool *pool;
    struct gemm gemm;
    struct rope rope;
    struct mixer mx;
    char *pages;
    int32_t tables[SEQS][PAGES];
    float x[SEQS][TOKENS * D], y[SEQS][TOKENS * D];
};

static uint64_t rng_state = 0x9E3779B97F4A7C15u;

static int random_below(int n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (int)((rng_state >> 33) % (uint64_t)n);
}

static void open_bench(struct bench *b)
{
    struct err err = {0};
    struct rope_params p = {.theta = 10000};
    struct rope_use use = {HD, TOKENS, TOKENS, false, false};
    memset(b, 0, sizeof *b);
    maker_open(&b->maker);
    maker_matrix(&b->maker, "q.weight", WIDE, D);
    maker_matrix(&b->maker, "k.weight", NARROW, D);
    maker_matrix(&b->maker, "v.weight", NARROW, D);
    maker_matrix(&b->maker, "o.weight", D, WIDE);
    maker_save(&b->maker, "model.safetensors");
    arena_init(&b->arena);
    assert_int_equal(safetensors_open(&b->weights, b->maker.dir, &err), 0);
    assert_int_equal(rope_open(&b->rope, &b->arena, &p, &use, &err), 0);
    for (int s = 0; s < SEQS; s++)
        for (int i = 0; i < TOKENS * D; i++)
            b->x[s][i] = (float)(random_below(20001) - 10000) / 3000;
    for (int s = 0; s < SEQS; s++)
        for (int i = 0; i < PAGES; i++)
            b->tables[s][i] = (i * SEQS + s) * 7 % (SEQS * PAGES);
}

static void close_bench(struct bench *b)
{
    weights_close(&b->weights);
    arena_free(&b->arena);
    maker_close(&b->maker);
}

/* The mixer over fresh pages, for one page type, kernel set and number of threads. */
static void begin(struct bench *b, enum engine_kv kv, const struct kernels *k,
                  int threads)
{
    struct err err = {0};
    struct attn_spec spec = {.q = "q",
                             .k = "k",
                             .v = "v",
                             .o = "o",
                             .n_heads = HEADS,
                             .n_kv_heads = KV_HEADS,
                             .head_dim = HD};
    struct bind bind = {.weights = &b->weights,
                        .arena = &b->arena,
                        .kv = kv,
                        .prefix = "",
                        .hidden_size = D};
    spec.rope = &b->rope;
    b->mx = (struct mixer){.kind = &mixer_attn};
    if (mixer_attn.bind(&b->mx, &spec, &bind, &err))
        fail_msg("%s", err.text);
    assert_int_equal(pool_open(&b->pool, threads, &err), 0);
    assert_true(arena_fixed(&b->scratch, mixer_attn.scratch(&b->mx, SEQS * TOKENS)));
    b->gemm = (struct gemm){k, b->pool, false, NULL};
    b->pages = aligned_alloc(64, SEQS * PAGES * b->mx.need.page_bytes);
    assert_non_null(b->pages);
    memset(b->pages, 0x55, SEQS * PAGES * b->mx.need.page_bytes);
}

static void end(struct bench *b)
{
    free(b->pages);
    pool_close(b->pool);
    arena_free(&b->scratch);
}

/* One step: the next n[s] rows of each sequence, from done[s] on. */
static void step(struct bench *b, int *done, const int *n)
{
    static float x[SEQS * TOKENS * D], y[SEQS * TOKENS * D];
    int32_t positions[SEQS * TOKENS], row_span[SEQS * TOKENS];
    struct span spans[SEQS];
    struct ctx c = {.gemm = &b->gemm,
                    .scratch = &b->scratch,
                    .spans = spans,
                    .positions = positions,
                    .row_span = row_span,
                    .pages = b->pages,
                    .page_bytes = b->mx.need.page_bytes};
    for (int s = 0; s < SEQS; s++) {
        if (n[s] == 0)
            continue;
        spans[c.n_spans] = (struct span){c.n_rows, n[s], done[s], NULL, b->tables[s]};
        for (int i = 0; i < n[s]; i++, c.n_rows++) {
            positions[c.n_rows] = done[s] + i;
            row_span[c.n_rows] = c.n_spans;
            memcpy(x + c.n_rows * D, b->x[s] + (done[s] + i) * D, D * sizeof *x);
        }
        c.n_spans++;
    }
    mixer_attn.run(&b->mx, &c, x, y);
    assert_int_equal(arena_mark(&b->scratch), 0);
    for (int s = 0, row = 0; s < SEQS; row += n[s], done[s] += n[s], s++)
        memcpy(b->y[s] + done[s] * D, y + row * D, (size_t)(n[s] * D) * sizeof *y);
}

static void run_cut(struct bench *b, int most)
{
    int done[SEQS] = {0};
    while (done[0] < TOKENS || done[1] < TOKENS) {
        int n[SEQS];
        for (int s = 0; s < SEQS; s++) {
            n[s] = random_below(most + 1);
            n[s] = n[s] < TOKENS - done[s] ? n[s] : TOKENS - done[s];
        }
        if (n[0] + n[1] > 0)
            step(b, done, n);
    }
}

static void any_cut_gives_the_same_bytes(void **state)
{
    static const char *const sets[] = {"c", "avx2", "avx512", "vnni", "neon"};
    static float want[SEQS][TOKENS * D];
    static struct bench b;
    (void)state;
    open_bench(&b);
    for (enum engine_kv kv = 0; kv < ENGINE_KV_N; kv++) {
        int done[SEQS] = {0}, whole[SEQS] = {TOKENS, TOKENS};
        begin(&b, kv, &kernel_c, 1);
        step(&b, done, whole);
        memcpy(want, b.y, sizeof want);
        size_t bytes = SEQS * PAGES * b.mx.need.page_bytes;
        char *pages = malloc(bytes);
        assert_non_null(pages);
        memcpy(pages, b.pages, bytes);
        end(&b);
        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
            for (int most = 1; most <= 100; most = most * 4 + 1) {
                const struct kernels *k;
                if (cpu_kernels(&k, sets[i], NULL))
                    continue;
                begin(&b, kv, k, 1 + random_below(3));
                run_cut(&b, most);
                if (memcmp(want, b.y, sizeof want) != 0)
                    fail_msg("%s, type %d, cuts up to %d: other results", k->name, kv,
                             most);
                if (memcmp(pages, b.pages, bytes) != 0)
                    fail_msg("%s, type %d, cuts up to %d: other pages", k->name, kv,
                             most);
                end(&b);
            }
        free(pages);
    }
    close_bench(&b);
}

/* Halves of heads begin on a line: 40 values of 16 tokens, and q8's scales of 2 groups.
 */
static void a_page_has_the_bytes_of_its_type(void **state)
{
    static const size_t half[ENGINE_KV_N] = {40 * 16 * 4, 40 * 16 * 2,
                                             40 * 16 + 2 * 16 * 2};
    static struct bench b;
    (void)state;
    open_bench(&b);
    for (enum engine_kv kv = 0; kv < ENGINE_KV_N; kv++) {
        begin(&b, kv, &kernel_c, 1);
        assert_int_equal(b.mx.need.page_bytes,
                         2 * KV_HEADS * ((half[kv] + 63) / 64 * 64));
        assert_int_equal(b.mx.need.fixed_bytes, 0);
        end(&b);
    }
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same_bytes),
        cmocka_unit_test(a_page_has_the_bytes_of_its_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

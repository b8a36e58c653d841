/*
 * Sliding windows whose keys and values are a ring in the slot: the bits of whole pages,
 * with every kernel set, cut and page type; rows that are taken back leave no trace; wide
 * windows keep whole pages. The projections copy parts of x, so that the kernels can be
 * called here on the same queries, keys and values.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/mixer/ring.h"

#include "engine/mixer/attn.h"
#include "tests/lib/mixer_steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 3, KV_HEADS = 1, HD = 36, WIDE = HEADS * HD };
enum { D = WIDE + 2 * HD, SEQS = 2, TOKENS = 230 };

static const int windows[] = {1, 2, 15, 16, 17, 33, 63, 64, 65, 100};
enum { N_WINDOWS = sizeof windows / sizeof *windows };

static struct attn_spec spec_of(int window)
{
    return (struct attn_spec){.q = "q",
                              .k = "k",
                              .v = "v",
                              .o = "o",
                              .n_heads = HEADS,
                              .n_kv_heads = KV_HEADS,
                              .head_dim = HD,
                              .window = window};
}

/* [n_out, n_in] that copies inputs from `first` on. */
static void add_copy(struct maker *m, const char *name, int n_out, int n_in, int first)
{
    const int64_t shape[] = {n_out, n_in};
    float *w = calloc((size_t)n_out * (size_t)n_in, sizeof *w);
    assert_non_null(w);
    for (int o = 0; o < n_out && first + o < n_in; o++)
        w[o * n_in + first + o] = 1;
    maker_tensor(m, name, 2, shape, w, (struct maker_fill){0, 0});
    free(w);
}

static void open_steps(struct mixer_steps *b, int n_seqs, int n_tokens)
{
    mixer_steps_open(b, D, n_seqs, n_tokens);
    add_copy(&b->maker, "q.weight", WIDE, D, 0);
    add_copy(&b->maker, "k.weight", HD, D, WIDE);
    add_copy(&b->maker, "v.weight", HD, D, WIDE + HD);
    add_copy(&b->maker, "o.weight", D, WIDE, 0);
    mixer_steps_load(b);
    for (size_t i = 0; i < (size_t)(n_seqs * n_tokens * D); i++)
        b->x[i] *= 3;
}

/* ---- the kernels on whole pages ---------------------------------------------- */

enum { PAGES = TOKENS / PAGE_TOKENS + 1, HALF = HD * PAGE_TOKENS * 4 };

/* Attention of the rows of x, one by one: what the first WIDE outputs must be. */
static void define(const float *x, enum engine_kv kv, int window, float *want)
{
    static _Alignas(64) char pages[PAGES * 2 * HALF];
    int32_t table[PAGES];
    for (int i = 0; i < PAGES; i++)
        table[i] = i;
    struct kv_args store = {.pages = pages,
                            .table = table,
                            .page_bytes = 2 * HALF,
                            .v_offset = HALF,
                            .k = x + WIDE,
                            .v = x + WIDE + HD,
                            .ld = D,
                            .n_rows = TOKENS,
                            .head_dim = HD};
    kernel_c.kv_store[kv](&store);
    for (int t = 0; t < TOKENS; t++) {
        struct attn_args a = {.pages = pages,
                              .table = table,
                              .page_bytes = 2 * HALF,
                              .v_offset = HALF,
                              .q = x + t * D,
                              .out = want + t * WIDE,
                              .ld = WIDE,
                              .scale = 1.0f / 6,
                              .n_keys = t + 1,
                              .n_rows = 1,
                              .group = HEADS,
                              .head_dim = HD,
                              .window = window};
        kernel_c.attn[kv](&a);
    }
}

static void a_ring_has_the_bits_of_pages(void **state)
{
    static float want[TOKENS * WIDE];
    struct mixer_steps b;
    (void)state;
    open_steps(&b, SEQS, TOKENS);
    for (int i = 0; i < N_WINDOWS; i++) {
        struct attn_spec spec = spec_of(windows[i]);
        b.bind.kv = (enum engine_kv)(i % ENGINE_KV_N);
        mixer_steps_bind(&b, &mixer_attn, &spec, &kernel_c, 2);
        mixer_steps_run(&b, 0);
        for (int s = 0; s < SEQS; s++) {
            define(b.x + s * TOKENS * D, b.bind.kv, windows[i], want);
            for (int t = 0; t < TOKENS; t++)
                if (memcmp(want + t * WIDE, b.y + (s * TOKENS + t) * D,
                           WIDE * sizeof *want) != 0)
                    fail_msg("window %d, type %d: row %d differs", windows[i], b.bind.kv,
                             t);
        }
        if (i % ENGINE_KV_N == i / 4) /* one of each type */
            mixer_steps_expect_same(&b, &mixer_attn, &spec);
    }
    mixer_steps_close(&b);
}

/* ---- rows that are taken back ------------------------------------------------- */

/* n rows of x from position pos on, over one slot. */
static void run_rows(struct mixer_steps *b, const float *x, int pos, int n, float *y)
{
    int32_t positions[TOKENS], row_span[TOKENS] = {0};
    struct span span = {.n_rows = n, .pos = pos, .fixed = b->slots};
    for (int i = 0; i < n; i++)
        positions[i] = pos + i;
    struct ctx c = {.gemm = &b->gemm,
                    .scratch = &b->scratch,
                    .spans = &span,
                    .n_spans = 1,
                    .n_rows = n,
                    .positions = positions,
                    .row_span = row_span};
    mixer_attn.run(&b->mx, &c, x, y);
}

/* Rows run in front of their time and taken back, at every depth of a page. */
static void rows_can_be_taken_back(void **state)
{
    static float want[TOKENS * D], got[TOKENS * D];
    struct mixer_steps b;
    (void)state;
    open_steps(&b, 1, TOKENS);
    const float *junk = b.x + 7 * D; /* rows of other positions */
    for (int i = 0; i < N_WINDOWS; i++) {
        struct attn_spec spec = spec_of(windows[i]);
        b.bind.kv = (enum engine_kv)((i + 1) % ENGINE_KV_N);
        mixer_steps_bind(&b, &mixer_attn, &spec, &kernel_c, 1);
        size_t bytes = b.mx.need.fixed_bytes;
        char *clean = malloc(bytes);
        assert_non_null(clean);
        for (int depth = 3; depth + RING_SPARE < TOKENS; depth += 29) {
            memset(b.slots, 0, bytes);
            run_rows(&b, b.x, 0, depth, want);
            ring_forget(b.mx.need.ring, b.slots, depth);
            memcpy(clean, b.slots, bytes);
            run_rows(&b, b.x + depth * D, depth, RING_SPARE, want);
            memset(b.slots, 0, bytes);
            run_rows(&b, b.x, 0, depth, got);
            run_rows(&b, junk, depth, RING_SPARE, got);
            ring_forget(b.mx.need.ring, b.slots, depth);
            assert_memory_equal(clean, b.slots, bytes);
            run_rows(&b, junk, depth, RING_SPARE, got);
            run_rows(&b, b.x + depth * D, depth, RING_SPARE, got);
            assert_memory_equal(want, got, RING_SPARE * D * sizeof *want);
        }
        free(clean);
    }
    mixer_steps_close(&b);
}

/* ---- sizes -------------------------------------------------------------------- */

static struct state_need need_of(struct mixer_steps *b, int window)
{
    struct err err = {0};
    struct mixer mx = {.kind = &mixer_attn};
    struct attn_spec spec = spec_of(window);
    assert_int_equal(mixer_attn.bind(&mx, &spec, &b->bind, &err), 0);
    return mx.need;
}

/* A ring has 64 rows more than its window, whole pages; from 1,025 on there is none. */
static void wide_windows_keep_pages(void **state)
{
    static const size_t page = 2 * HD * PAGE_TOKENS * sizeof(float);
    struct mixer_steps b;
    (void)state;
    open_steps(&b, 1, TOKENS);
    for (int w = 1; w <= RING_WINDOW_MAX; w += w < 70 ? 1 : 53) {
        struct state_need n = need_of(&b, w);
        assert_int_equal(n.page_bytes, 0);
        assert_int_equal(n.fixed_bytes, (size_t)(w + 64 + 15) / 16 * page);
        assert_non_null(n.ring);
    }
    assert_int_equal(need_of(&b, 1024).fixed_bytes, 68 * page);
    for (int w = 0; w <= 1025; w += 1025) {
        struct state_need n = need_of(&b, w);
        assert_int_equal(n.page_bytes, page);
        assert_int_equal(n.fixed_bytes, 0);
        assert_null(n.ring);
    }
    mixer_steps_close(&b);
}

/* Keys that are seen are counted one by one here. */
static void only_visible_keys_cost(void **state)
{
    struct mixer_steps b;
    (void)state;
    open_steps(&b, 1, TOKENS);
    for (int i = -1; i < N_WINDOWS; i++) {
        int w = i < 0 ? TOKENS * 2 : windows[i];
        struct attn_spec spec = spec_of(i < 0 ? 0 : w);
        struct mixer mx = {.kind = &mixer_attn};
        assert_int_equal(mixer_attn.bind(&mx, &spec, &b.bind, NULL), 0);
        for (int depth = 0; depth < 150; depth += 13)
            for (int rows = 1; rows < 80; rows += 26) {
                struct engine_batch s = {.n_seqs = 2, .n_rows = rows, .depth = depth};
                struct engine_cost sum = {0}, all = {0};
                double seen = 0;
                int first = depth + 1 > w ? depth + 1 - w : 0;
                for (int t = depth; t < depth + rows; t++)
                    seen += t + 1 < w ? t + 1 : w;
                mixer_attn.cost(&mx, &s, &sum);
                all.kv_bytes = 2.0 * 2 * HD * 4 * (depth + rows - first);
                all.f32_ops =
                    2 * 4.0 * WIDE * seen + 2.0 * 2 * rows * D * 2 * (WIDE + HD);
                assert_true(sum.kv_bytes == all.kv_bytes);
                assert_true(sum.f32_ops == all.f32_ops);
                assert_true(sum.state_bytes == 0);
            }
    }
    mixer_steps_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_has_the_bits_of_pages),
        cmocka_unit_test(rows_can_be_taken_back),
        cmocka_unit_test(wide_windows_keep_pages),
        cmocka_unit_test(only_visible_keys_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
